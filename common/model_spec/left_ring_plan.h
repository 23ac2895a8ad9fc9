// Ring Attention with the left product, the baseline of the LASP-2 paper (arXiv
// 2502.07563): queries stay, and keys, values and gates go from rank to rank. A
// rank computes (Q K^T) V with every range before its own, which is quadratic
// in the tokens, where the other methods exchange what K^T V is worth. Its own
// range it computes as one rank would.
//
//     forward    k, v, log gates of ranks 0 .. r to rank r + 1: for o
//     backward   the same again: for dq
//                q, dO, log gates of ranks r .. W - 1 to rank r - 1: for dk, dv
//                with gates a number per head of all ranks to all ranks: what a
//                gate's gradient has of the tokens on later ranks
//
// Rows are those of row_exchange_plan.h, and so are their ways, upwards to the
// last rank and downwards to the first: of even ranges a rank sends W n / 2
// rows forward and twice that backward, where shards that go all round, as
// published, are (W - 1) n and, with the sums of their gradients, 2 W n - n.
//
// For recurrences whose decay between two tokens is a number per head; then
// what they share is e^{decay} (q . k).
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/token_range.h"

namespace longspan {

// kUnimplemented, in a sentence, for a gate per channel and the delta rule.
absl::Status CheckLeftProduct(const LinearLayerForm& form,
                              std::string_view mixer);

struct LeftRingShape {
  int64_t batch = 1;
  absl::Span<const TokenRange> ranges;  // of every rank
  int64_t heads = 1;
  int64_t key_heads = 1;
  LinearLayerForm form;
  int64_t element_bytes = 4;

  bool gated() const { return form.decay == StateDecay::kPerHead; }
};
// Of a model's linear layers.
LeftRingShape LeftRingShapeOf(const LinearAttentionSpec& linear, int64_t batch,
                              absl::Span<const TokenRange> ranges,
                              int64_t element_bytes);

// Of one rank and pass.
struct LeftRingMoves {
  int64_t calls = 0;
  int64_t sent = 0;      // bytes
  int64_t received = 0;  // bytes
};
LeftRingMoves PlanLeftRing(const LeftRingShape& shape, int rank, bool forward);

// Of one rank, to all others: the sums that a gate's gradient has, backward.
int64_t LeftRingSumBytes(const LeftRingShape& shape);

// Room for the parcels of a pass, whichever way they go.
int64_t LeftRingParcelBytes(const LeftRingShape& shape, bool forward);

// Queries whose scores with a shard's keys exist at a time.
inline constexpr int64_t kLeftRingQueries = 128;

// Parcels, weighed values, backward weighed dO and the dV of other ranks, and
// scores, of a rank with the longest range.
int64_t LeftRingScratchBytes(const LeftRingShape& shape, bool forward);

}  // namespace longspan
