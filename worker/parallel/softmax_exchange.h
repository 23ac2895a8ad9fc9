// Attention of a softmax layer over the keys of all ranks, for one pass: every
// rank brings the queries, keys and values of its token range and gets its
// queries' attention over all ranges; backward it brings d_o and gets the
// gradients of what it brought. Which bytes go where, and what a rank holds, is
// the method's (common/model_spec/kv_exchange_plan.h has the table).
//
// Rows interleave key and value per token, [tokens, 2, Hkv * D], so that one
// transfer carries both; where they travel in slices of heads, each slice has
// rows of its own, [tokens, 2, G * D]. Scratch memory comes from the context's
// arena, whose scope is the caller's.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/model_spec.h"
#include "kernels/api/softmax_attention.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

// Of all N tokens of the piece, for the heads that this rank takes, H_r of
// queries and G_r of keys; null unless heads travel.
struct SoftmaxHeads {
  kernels::TensorView q;     // [B, N, H_r, D]
  kernels::TensorView rows;  // [B, N, 2 G_r D]
  kernels::TensorView o;     // [B, N, H_r, D]
  kernels::TensorView lse;   // [B, H_r, N]
};

struct SoftmaxExchangeTensors {
  kernels::TensorView q;  // [B, n, H, D]
  // Keys and values, [B, T, 2 Hkv D], with this rank's written. Where keys are
  // gathered (GathersKeys) T is all tokens of the piece behind `cached_rows`
  // rows that were seen before it, the last document of those beginning at row
  // `document_row`. Otherwise T = n.
  kernels::TensorView rows;
  int64_t cached_rows = 0;
  int64_t document_row = 0;
  // Of the heads of keys. With more than one `rows` is the memory in which
  // those of the slices lie one behind the other (SliceRows).
  int64_t slices = 1;
  // The results of forward, which backward reads.
  kernels::TensorView o;    // [B, n, H, D]
  kernels::TensorView lse;  // [B, H, n]; null where heads travel
  SoftmaxHeads heads;
};

struct SoftmaxExchangeGradients {
  kernels::TensorView d_q;    // [B, n, H, D]
  kernels::TensorView d_own;  // [B, n, 2 Hkv D]: its rows, summed over ranks
};

// The keys and values of a slice of the heads, [B, T, 2 G D]: `rows` itself if
// that is all of them.
kernels::TensorView SliceRows(kernels::TensorView rows, const KeySlice& slice,
                              int64_t head_dim);

class SoftmaxExchange {
 public:
  virtual ~SoftmaxExchange() = default;

  // Writes o and lse.
  virtual absl::Status Forward(const SoftmaxExchangeTensors& tensors) = 0;
  virtual absl::Status Backward(const SoftmaxExchangeTensors& tensors,
                                kernels::ConstTensorView d_o,
                                const SoftmaxExchangeGradients& gradients) = 0;

 protected:
  SoftmaxExchange(const RankContext& context, int layer,
                  const SequenceShard& shard, const SoftmaxAttentionSpec& spec)
      : context_(context), layer_(layer), shard_(shard), spec_(spec) {}

  int64_t width() const { return 2 * spec_.key_heads * spec_.head_dim; }
  // Keys and values of rows [B, T, 2 G D] as [B, T, G, D].
  kernels::TensorView Keys(kernels::TensorView rows) const;
  kernels::TensorView Values(kernels::TensorView rows) const;
  // Operands of attention of queries that stand at row `query_offset` and on.
  // `document_starts`, in rows, must outlive the result.
  kernels::SoftmaxAttentionInputs Operands(
      kernels::TensorView q, kernels::TensorView rows, int64_t query_offset,
      const std::vector<int64_t>& document_starts) const;
  // For the queries of one part at a time, and so many heads of keys.
  kernels::TensorView AllocateWorkspace(bool backward, int64_t key_tokens,
                                        int64_t key_heads) const;
  // Heads of queries that read one of keys.
  int64_t group() const { return spec_.heads / spec_.key_heads; }

  const RankContext& context_;
  const int layer_;
  const SequenceShard& shard_;
  const SoftmaxAttentionSpec& spec_;
};

// By context.softmax_method; one rank gathers from nobody.
std::unique_ptr<SoftmaxExchange> CreateSoftmaxExchange(
    const RankContext& context, int layer, const SequenceShard& shard,
    const SoftmaxAttentionSpec& spec);

}  // namespace longspan::worker
