#include "common/model_spec/layout_choice.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/base/units.h"
#include "common/model_spec/communication_plan.h"
#include "common/model_spec/model_cost.h"
#include "common/model_spec/precision.h"

namespace longspan {
namespace {

// Keys that the queries [0, end) see together.
double PairsBefore(int64_t end, int64_t window) {
  const double queries = static_cast<double>(end);
  if (window == 0 || end <= window) return queries * (queries + 1) / 2;
  const double full = static_cast<double>(window);
  return full * (full + 1) / 2 + (queries - full) * full;
}

double PairsOf(TokenLayout layout, absl::Span<const TokenRange> parts,
               int64_t window, int rank) {
  double pairs = 0;
  for (int part : PartsOf(layout, parts, rank)) {
    pairs += PairsBefore(parts[part].end, window) -
             PairsBefore(parts[part].begin, window);
  }
  return pairs;
}

double LargestPairs(TokenLayout layout, absl::Span<const TokenRange> parts,
                    int64_t window) {
  double largest = 0;
  const int ranks = RankCount(layout, static_cast<int64_t>(parts.size()));
  for (int rank = 0; rank < ranks; ++rank) {
    largest = std::max(largest, PairsOf(layout, parts, window, rank));
  }
  return largest;
}

std::vector<TokenRange> PartsOf(TokenLayout layout,
                                const LayoutQuestion& question) {
  absl::StatusOr<std::vector<TokenRange>> parts =
      CutTokens(layout, question.tokens, question.ranks);
  LONGSPAN_CHECK_OK(parts);
  return *std::move(parts);
}

// Of states and decays, forward and backward.
int64_t AddedBytes(const ModelSpec& spec, const LayoutQuestion& question) {
  const StateExchangeShape shape =
      StateShapeOf(spec.linear, question.batch, question.state_gather);
  int64_t elements = 0;
  for (const bool forward : {true, false}) {
    elements +=
        PlanPartMoves(shape, 2, 2 * question.ranks, question.ranks, forward)
            .sent -
        PlanStateMoves(SequenceParallel::kLasp2, shape, 0, question.ranks,
                       forward, false)
            .sent;
  }
  return elements * CountLayers(spec, LayerKind::kLinear) *
         AccumulatorBytes(question.element_bytes);
}

bool SeesAll(const SoftmaxAttentionSpec& softmax, int64_t tokens) {
  return softmax.window == 0 || softmax.window >= tokens;
}

std::string FiguresText(const LayoutFigures& figures) {
  return absl::StrFormat(
      "the busiest rank has %.2f of the mean of attention contiguous, %.2f "
      "zigzag, which saves it %.1f%% of its operations and sends %s more of "
      "states",
      figures.contiguous, figures.zigzag, 100.0 * figures.saved_share,
      FormatBytes(figures.added_bytes));
}

}  // namespace

double AttentionImbalance(TokenLayout layout,
                          absl::Span<const TokenRange> parts, int64_t window) {
  const double ranks = RankCount(layout, static_cast<int64_t>(parts.size()));
  return LargestPairs(layout, parts, window) * ranks /
         PairsBefore(parts.back().end, window);
}

absl::Status CheckZigzag(SequenceParallel method,
                         SoftmaxParallel softmax_method, bool cuda) {
  if (method != SequenceParallel::kLasp2) {
    return absl::UnimplementedError(absl::StrCat(
        "zigzag goes with sequence_parallel lasp2, not with ",
        std::string(SequenceParallelName(method)),
        ", whose ranks hold one range each: use lasp2 or contiguous"));
  }
  if (softmax_method != SoftmaxParallel::kGather) {
    return absl::UnimplementedError(absl::StrCat(
        "zigzag goes with softmax_sequence_parallel gather, not with ",
        std::string(SoftmaxParallelName(softmax_method)),
        ", whose ranks hold one range each: use gather or contiguous"));
  }
  if (cuda) {
    return absl::UnimplementedError(
        "zigzag runs on the backend cpu; on cuda no test has seen it yet: use "
        "contiguous");
  }
  return absl::OkStatus();
}

LayoutFigures CompareLayouts(const ModelSpec& spec,
                             const LayoutQuestion& question) {
  const std::vector<TokenRange> contiguous =
      PartsOf(TokenLayout::kContiguous, question);
  const std::vector<TokenRange> zigzag =
      PartsOf(TokenLayout::kZigzag, question);
  const int64_t window = spec.softmax.window;
  const double batch = static_cast<double>(question.batch);
  // Forward and backward, as in TrainFlopsPerToken.
  const double pair =
      3.0 * SoftmaxFlopsPerPair(spec.softmax) * batch *
      static_cast<double>(CountLayers(spec, LayerKind::kSoftmax));
  const double busiest =
      pair * LargestPairs(TokenLayout::kContiguous, contiguous, window);
  const double saved =
      busiest - pair * LargestPairs(TokenLayout::kZigzag, zigzag, window);
  const double others = TrainFlopsPerToken(spec, /*context_tokens=*/0) * batch *
                        static_cast<double>(contiguous.back().size());
  return {AttentionImbalance(TokenLayout::kContiguous, contiguous, window),
          AttentionImbalance(TokenLayout::kZigzag, zigzag, window),
          saved / (busiest + others), static_cast<int64_t>(saved),
          AddedBytes(spec, question)};
}

LayoutChoice ChooseLayout(const ModelSpec& spec,
                          const LayoutQuestion& question) {
  constexpr TokenLayout kContiguous = TokenLayout::kContiguous;
  if (question.ranks == 1) return {kContiguous, "one rank holds all tokens"};
  if (!HasLayer(spec, LayerKind::kSoftmax)) {
    return {kContiguous, "linear layers have as much to compute anywhere"};
  }
  if (!SeesAll(spec.softmax, question.tokens)) {
    return {kContiguous, absl::StrCat("queries see ", spec.softmax.window,
                                      " tokens, wherever they stand")};
  }
  const absl::Status possible =
      CheckZigzag(question.method, question.softmax_method, question.cuda);
  if (!possible.ok()) return {kContiguous, std::string(possible.message())};
  const LayoutFigures figures = CompareLayouts(spec, question);
  const bool worthwhile =
      figures.saved_share >= kWorthwhileShare &&
      static_cast<double>(figures.saved_operations) >
          kOperationsPerByte * static_cast<double>(figures.added_bytes);
  return {worthwhile ? TokenLayout::kZigzag : kContiguous,
          FiguresText(figures)};
}

}  // namespace longspan
