// Sequence parallelism by rows (Ring Attention with the right product): what
// ranks send so that each makes the summaries of other ranks' ranges itself,
// and what that costs. Workers allocate and send by these functions, and tests
// compare the transport's counters with them.
//
// The state that enters a rank is made of all ranges before it. So the rows
// that a summary is made of go from rank to rank, upwards, to the last one that
// reads them; backward, those of the gradient's summary go downwards:
//
//     forward    k, v, log gate, beta            of ranks 0 .. r to rank r + 1
//     backward   q, dO, log gate, with the       of ranks r .. W - 1 to r - 1
//                delta rule k and beta besides
//
//     per token  forward   a (G d_k + H d_v) + s (g + H with the delta rule)
//                backward  the same, and a G d_k with the delta rule
//
// bytes, with G heads of q and k, H of v, d_k and d_v those of the state (after
// the feature map and with the normaliser's column), g numbers of gates (0, H
// or H d_k), a bytes of an activation and s of a sum. Rank r sends forward the
// rows of all ranges up to its own, the last rank nothing: of even ranges
// between n and (W - 1) n rows, W n / 2 on average, half of what shards cost
// that go all round. A range's decays are made of the rows, too, and do not
// travel. Bytes grow with the tokens, and with the ranks where those share out
// the same tokens they stay.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/token_range.h"

namespace longspan {

// Numbers of one token's row: activations, and those of the type of sums.
struct RowWidths {
  int64_t narrow = 0;
  int64_t wide = 0;

  int64_t Bytes(int64_t element_bytes) const;
};

// What makes the summary of a range (forward), or that of its gradient.
RowWidths SummaryRows(const LinearLayerForm& form, int64_t heads,
                      int64_t key_heads, bool forward);

// Of one rank and pass. A shard is a rank's rows.
struct RowMoves {
  int64_t calls = 0;
  int64_t sent = 0;      // tokens
  int64_t received = 0;  // tokens
};
RowMoves PlanRowMoves(absl::Span<const TokenRange> ranges, int rank,
                      bool forward);

// Bytes of the two parcels that a rank sends and receives in turns: room for
// the longest range, rounded up to kRowParcelAlignment.
inline constexpr int64_t kRowParcelAlignment = 64;
int64_t RowParcelBytes(absl::Span<const TokenRange> ranges, int64_t batch,
                       const RowWidths& rows, int64_t element_bytes);

}  // namespace longspan
