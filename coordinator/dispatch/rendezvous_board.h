// The key-value store through which the ranks of an attempt find each other:
// NCCL ids, Gloo addresses. A get of a missing key waits until it is set.
// Values live as long as the attempt. Not thread-safe; the core guards it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/job/job_name.h"

namespace longspan::coordinator {

// Who asks, and under which number.
struct RendezvousAsker {
  std::string worker;
  int rank = 0;
  int64_t id = 0;
};

struct RendezvousAnswer {
  RendezvousAsker asker;
  std::string value;
};

class RendezvousBoard {
 public:
  static constexpr size_t kMaxValueBytes = 64 << 10;
  static constexpr size_t kMaxKeys = 100000;

  // Sets the key of an attempt; the same value again is fine. Answers the gets
  // that waited for it. AlreadyExists for another value under the same key.
  absl::StatusOr<std::vector<RendezvousAnswer>> Set(const JobName& job,
                                                    int64_t epoch,
                                                    const std::string& key,
                                                    const std::string& value);

  // At most one answer: now, or from a later Set.
  std::vector<RendezvousAnswer> Get(const JobName& job, int64_t epoch,
                                    const std::string& key,
                                    const RendezvousAsker& asker);

  void Forget(const JobName& job);

 private:
  struct Board {
    int64_t epoch = 0;
    std::map<std::string, std::string> values;
    std::map<std::string, std::vector<RendezvousAsker>> waiting;
  };

  Board& BoardOf(const JobName& job, int64_t epoch);

  std::map<JobName, Board> boards_;
};

}  // namespace longspan::coordinator
