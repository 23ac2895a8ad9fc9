// What the ranks of a gang must decide alike: whether to stop, and how much
// time has passed. Each rank's own clock and stop request would let them part
// at different steps, and the next collective would hang.
//
//   agreement.Start(elapsed, stop.requested());
//   ... a step ...
//   ASSIGN_OR_RETURN(Agreed agreed, agreement.Finish());
//
// One AllReduce of two doubles, in flight while the step runs, so that it
// costs no waiting; the decision is therefore one step old. Not thread-safe.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/collective/process_group.h"

namespace longspan::worker {

struct Agreed {
  double seconds = 0.0;  // rank 0's
  bool stop = false;     // any rank's
};

class RunAgreement {
 public:
  // `group` may be null: a single rank.
  explicit RunAgreement(ProcessGroup* group) : group_(group) {}

  // Every rank calls both, in turn.
  void Start(double seconds, bool stop);
  absl::StatusOr<Agreed> Finish();

 private:
  ProcessGroup* const group_;
  double values_[2] = {};
  std::unique_ptr<Work> work_;
};

}  // namespace longspan::worker
