// Ring Attention (arXiv 2310.01889): keys and values, a rank's shard, go from
// rank to rank (kv_exchange_plan.h) while the rank attends to the shard at
// hand.
//
//   forward   step s: start the transfer of step s + 1, attend to the shard of
//             rank r - s, merge what its keys give into (o, lse), wait
//   backward  the same walk. With the o and lse of all keys, a call on one
//             shard gives exactly that shard's part of dQ, dK and dV. Sums of
//             dK and dV follow their shard one step behind, and go home.
//
// A query sees only keys before it, so no shard comes from the ranks behind;
// with shards that the window or the borders of documents hide nothing is
// computed. A rank holds its own shard and two that travel, in
// backward two sums and one shard of gradients besides. Of a window the
// transfers shrink with the reach. Not for bf16, whose sums have another type:
// kUnimplemented.
#pragma once

#include <memory>
#include <vector>

#include "common/model_spec/kv_exchange_plan.h"
#include "worker/parallel/softmax_exchange.h"

namespace longspan::worker {

class SoftmaxRing : public SoftmaxExchange {
 public:
  SoftmaxRing(const RankContext& context, int layer, const SequenceShard& shard,
              const SoftmaxAttentionSpec& spec);

  absl::Status Forward(const SoftmaxExchangeTensors& tensors) override;
  absl::Status Backward(const SoftmaxExchangeTensors& tensors,
                        kernels::ConstTensorView d_o,
                        const SoftmaxExchangeGradients& gradients) override;

 private:
  // What this rank's queries see of the shard at hand: the first `queries` of
  // them see some of it; document starts in its rows.
  struct View {
    kernels::TensorView rows;  // [B, n_s, 2 Hkv D]
    int64_t queries = 0;
    int64_t query_offset = 0;
    std::vector<int64_t> document_starts;
  };
  View ViewOf(int step) const;
  kernels::SoftmaxAttentionInputs OperandsOf(const View& view,
                                             kernels::TensorView q) const;

  absl::Status CheckTensors(const SoftmaxExchangeTensors& tensors) const;
  // Take memory for what travels; step 0 has `own` at hand, whose gradients
  // go to `d_own` in the end.
  void BeginTravel(kernels::TensorView own);
  void BeginSums(kernels::TensorView d_own);
  // Starts the transfer of shards of the next step; null where none is.
  std::unique_ptr<Work> TravelOn(int step, Direction direction);
  // The same of the sums, one way or home.
  std::vector<std::unique_ptr<Work>> SendSums(int step);

  // A buffer's part for the shard that a step has at hand, [B, n_s, width].
  kernels::TensorView Shaped(kernels::TensorView buffer, int shard) const;
  kernels::TensorView ShardAt(int step) const;
  kernels::TensorView SumAt(int step) const;
  kernels::TensorView AllocateShard(const char* name,
                                    kernels::DType dtype) const;

  absl::Status AttendToShard(const SoftmaxExchangeTensors& tensors, int step);
  // Gradients of the shard at hand, then their way into d_q and the shard's
  // sums; of its own shard a rank writes both at once.
  absl::Status ComputeGradients(const View& view,
                                const SoftmaxExchangeTensors& tensors,
                                kernels::ConstTensorView d_o,
                                kernels::TensorView d_q, int step);
  absl::Status AddGradients(const View& view, kernels::TensorView d_q,
                            int step);

  const KvRoute route_;
  kernels::TensorView own_;
  kernels::TensorView d_own_;
  kernels::TensorView shards_[2];  // step s >= 1 in (s - 1) % 2
  kernels::TensorView sums_[2];    // step s in s % 2
  kernels::TensorView part_o_;     // [B, n, H, D]
  kernels::TensorView part_lse_;   // [B, H, n]
  kernels::TensorView d_shard_;
  kernels::TensorView part_d_q_;  // [B, n, H, D]
  kernels::TensorView workspace_;
};

}  // namespace longspan::worker
