// Which layout (token_layout.h) a train job takes, and what it is worth.
//
// A causal softmax layer has 1 + 2 + ... + N pairs of a query and a key.
// Contiguous ranges give the last of W ranks (2 W - 1) / W of the mean, zigzag
// every rank the same. Linear layers have as much to compute for every token,
// and under zigzag a rank sends the states of two parts instead of one: their
// bytes double, whatever the length.
//
// So zigzag is chosen where
//
//   - it can run: lasp2, gather, the backend cpu;
//   - softmax layers see all tokens before (no window, or none that matters);
//   - the busiest rank computes kWorthwhileShare less, and
//   - what it saves takes longer than the bytes that it adds, at
//     kOperationsPerByte.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/state_exchange_plan.h"
#include "common/model_spec/token_layout.h"

namespace longspan {

// Of the busiest rank's operations.
inline constexpr double kWorthwhileShare = 0.02;
// A cpu of 1e11 operations a second on a link of 1e9 bytes a second.
inline constexpr double kOperationsPerByte = 100.0;

// Queries that meet a key on the busiest rank over their mean over ranks, in
// causal attention with `window` (0: none).
double AttentionImbalance(TokenLayout layout,
                          absl::Span<const TokenRange> parts, int64_t window);

// OK, or what zigzag does not go with yet, by name.
absl::Status CheckZigzag(SequenceParallel method,
                         SoftmaxParallel softmax_method, bool cuda);

struct LayoutQuestion {
  int64_t tokens = 0;
  int64_t batch = 1;  // sequences of a replica
  int ranks = 1;      // of a replica
  int64_t element_bytes = 4;
  SequenceParallel method = SequenceParallel::kLasp2;
  SoftmaxParallel softmax_method = SoftmaxParallel::kGather;
  GatherSettings state_gather;
  bool cuda = false;
};

struct LayoutFigures {
  double contiguous = 1.0;  // AttentionImbalance
  double zigzag = 1.0;
  double saved_share = 0.0;  // of the busiest rank's operations
  int64_t saved_operations = 0;
  int64_t added_bytes = 0;  // that a rank sends per step
};

// tokens >= ranks >= 2.
LayoutFigures CompareLayouts(const ModelSpec& spec,
                             const LayoutQuestion& question);

struct LayoutChoice {
  TokenLayout layout = TokenLayout::kContiguous;
  std::string why;  // one clause
};
LayoutChoice ChooseLayout(const ModelSpec& spec,
                          const LayoutQuestion& question);

}  // namespace longspan
