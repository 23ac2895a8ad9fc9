// Rows of every rank go from rank to rank, to all that come after it in the
// direction of the pass: upwards forward, downwards backward
// (common/model_spec/row_exchange_plan.h says which, and what it costs). A rank
// takes the shards of others one by one, the nearest first, and sends each on
// while it reads it. Nothing goes further than the last rank.
//
// Own rows are copied to a parcel; a second parcel takes the next shard, and
// then they take turns.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

class RowRing {
 public:
  // `own`: this rank's rows, [B, n, H, D] or [B, n, H], perhaps strided; wider
  // types first. `parcels`: RowParcelBytes() bytes, untouched until Finish.
  // `pass` is counted, `way` where rows go: kForward upwards. More than one
  // rank; `context` and `shard` must outlive the object.
  RowRing(const RankContext& context, int layer, Direction pass, Direction way,
          const SequenceShard& shard, std::vector<kernels::ConstTensorView> own,
          kernels::TensorView parcels);

  // Shards that come here, and whose comes at step 1, 2, ... (0 is this
  // rank's).
  int steps() const { return place_; }
  int RankAt(int step) const {
    return context_.rank() + (upwards_ ? -step : step);
  }

  // Sends this rank's rows off, and asks for the first shard.
  absl::Status Start();
  // Waits for the shard of `step`, each from 1 to steps() in turn, and sends it
  // on: dense views like those of `own`, valid until the next call.
  absl::Status Take(int step, std::vector<kernels::TensorView>& rows);
  // Waits for what is still being sent, after all shards were taken.
  absl::Status Finish();

 private:
  bool sends() const { return place_ + 1 < context_.ranks(); }
  kernels::TensorView Parcel(int step) const;  // [bytes]
  std::vector<kernels::TensorView> RowsIn(int step) const;
  // Sends the shard of `step` on and asks for the next.
  void Launch(int step);

  const RankContext& context_;
  const TrafficTag tag_;
  const SequenceShard& shard_;
  const std::vector<kernels::ConstTensorView> own_;
  const kernels::TensorView parcels_;
  const bool upwards_;
  const int place_;  // ranks before this one, in the direction of the pass
  std::unique_ptr<Work> work_;
};

}  // namespace longspan::worker
