// Token ranges: which tokens of a sequence belong to which rank. The one place
// where sequences are cut; planner and workers use the same function.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace longspan {

// Tokens [begin, end) of a sequence.
struct TokenRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  friend bool operator==(const TokenRange&, const TokenRange&) = default;
};

// Cuts [0, tokens) into `parts` contiguous ranges in order, as even as
// possible: the first tokens % parts ranges are longer by one.
// kInvalidArgument when parts < 1 or tokens < parts: every rank must hold at
// least one token.
absl::StatusOr<std::vector<TokenRange>> SplitTokens(int64_t tokens, int parts);

// OK iff the ranges are non-empty and tile [0, tokens) exactly, in order.
absl::Status CheckTiling(absl::Span<const TokenRange> ranges, int64_t tokens);

}  // namespace longspan
