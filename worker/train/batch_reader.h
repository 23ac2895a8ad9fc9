// This rank's tokens of each training step, and of each validation batch.
//
// Not thread-safe. Buffers are made once.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/data/sequence_sampler.h"
#include "worker/data/token_source.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

class BatchReader {
 public:
  // Batches of the shape of `shard`, for one of several replicas, which share
  // the sequences of a step.
  BatchReader(const SequenceShard& shard, int replica, int replicas);

  // The sequences of step `step`: of `batch` sequences in all replicas, numbers
  // step * batch to (step + 1) * batch - 1, as many to each replica in turn.
  absl::Status ReadStep(const SequenceSampler& sampler, int64_t step);

  // The windows of `text` that begin at `first + b * sequence length`, for the
  // sequences b of a batch that are this replica's; those that the text cannot
  // fill are not scored (targets -1, ids 0).
  absl::Status ReadWindows(const TokenSource& text, int64_t first);

  // [batch * n] i32, batch-major. Valid until the next read.
  kernels::ConstTensorView ids() const { return View(ids_); }
  kernels::ConstTensorView targets() const { return View(targets_); }

  // Sequences of a batch, all replicas together.
  int64_t sequences() const { return replicas_ * batch_; }

 private:
  static kernels::ConstTensorView View(const std::vector<int32_t>& tokens) {
    return kernels::ConstTensorView(tokens.data(), kernels::DType::kI32,
                                    {static_cast<int64_t>(tokens.size())});
  }
  // A part of this rank's tokens of sequence `b`.
  absl::Span<int32_t> Row(std::vector<int32_t>& tokens, int64_t b,
                          const ShardPart& part) const {
    return absl::MakeSpan(tokens).subspan(b * tokens_ + part.first_row,
                                          part.range.size());
  }

  const int64_t batch_;
  const int64_t replica_;
  const int64_t replicas_;
  const int64_t sequence_length_;
  const std::vector<ShardPart> parts_;
  const int64_t tokens_;  // of this rank, per sequence
  std::vector<int32_t> ids_;
  std::vector<int32_t> targets_;
};

}  // namespace longspan::worker
