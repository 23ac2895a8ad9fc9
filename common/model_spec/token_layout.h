// Which rank holds which tokens of a sequence.
//
//     contiguous   W parts, rank r holds part r
//     zigzag       2 W parts, rank r holds parts r and 2W-1-r, its rows are
//                  those of part r, then those of part 2W-1-r
//
// Parts are in the order of the sequence and as even as SplitTokens makes
// them. Under zigzag every rank has as much causal attention to compute: what
// part r sees less, part 2W-1-r sees more. A sequence of fewer than 2 W tokens
// has empty parts at its end, whose ranks hold one part; no rank is without.
//
// "Parts" are everywhere a list of ranges with the empty ones, so that their
// number and the layout give the number of ranks.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model_spec/token_range.h"

namespace longspan {

// `layout` of a train job, once the planner has chosen.
enum class TokenLayout { kContiguous, kZigzag };

std::string_view TokenLayoutName(TokenLayout layout);  // "zigzag"

// One rank holds all tokens in their order, whatever the layout.
inline TokenLayout LayoutOver(int ranks, TokenLayout layout) {
  return ranks == 1 ? TokenLayout::kContiguous : layout;
}

inline int RankCount(TokenLayout layout, int64_t parts) {
  const int64_t each = layout == TokenLayout::kZigzag ? 2 : 1;
  return static_cast<int>(parts / each);
}

// The rank of `ranks` that holds part `part`, and the part that is half `half`
// (0 or 1) of a rank's.
inline int OwnerOf(int part, int ranks) {
  return part < ranks ? part : 2 * ranks - 1 - part;
}
inline int PartAt(int half, int rank, int ranks) {
  return half == 0 ? rank : 2 * ranks - 1 - rank;
}

// Parts that are not empty: the first ones.
int FilledParts(absl::Span<const TokenRange> parts);

// The parts of `rank` that are not empty, in the order of its rows.
std::vector<int> PartsOf(TokenLayout layout, absl::Span<const TokenRange> parts,
                         int rank);
int64_t TokensOf(TokenLayout layout, absl::Span<const TokenRange> parts,
                 int rank);

// The parts of [0, tokens). kInvalidArgument when ranks < 1 or
// tokens < ranks.
absl::StatusOr<std::vector<TokenRange>> CutTokens(TokenLayout layout,
                                                  int64_t tokens, int ranks);

// OK iff the parts tile [0, tokens) in order, empty ones at the end, and every
// rank holds at least one token.
absl::Status CheckParts(TokenLayout layout, absl::Span<const TokenRange> parts,
                        int64_t tokens);

}  // namespace longspan
