#include "common/model_spec/head_exchange_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/divide.h"
#include "common/base/status_macros.h"
#include "common/model_spec/precision.h"

namespace longspan {
namespace {

// Part `index` of [0, count) cut into `parts`, the first ones longer by one.
HeadRange PartOf(int64_t count, int64_t index, int64_t parts) {
  const int64_t longer = count % parts;
  const auto begin = [&](int64_t i) {
    return i * (count / parts) + std::min(i, longer);
  };
  return {begin(index), begin(index + 1)};
}

// The part of `parts` of [0, count) that holds `item`.
int64_t PartWith(int64_t count, int64_t item, int64_t parts) {
  int64_t part = 0;
  while (PartOf(count, part, parts).end <= item) ++part;
  return part;
}

// Heads that a method shares out, and what shares out tokens instead.
struct Shares {
  std::string_view method;
  int64_t heads = 0;
  const char* what = "heads of the linear layers";
  const char* instead = "lasp2";
};

absl::Status CheckShares(const Shares& shares, int ranks) {
  if (ranks <= shares.heads) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      std::string(shares.method), " gives every rank whole heads, and ", ranks,
      " ranks are more than the ", shares.heads, " ", shares.what, ": use ",
      shares.heads,
      " ranks or fewer, or a method that shares out the tokens, such as ",
      shares.instead));
}

absl::Status CheckNorm(const LinearAttentionSpec& linear, int ranks) {
  switch (FormOf(linear).output) {
    case OutputStage::kGatedThenNorm:
      return CheckShares({"megatron_sp", linear.key_heads,
                          "groups of heads (key_heads) that the linear "
                          "layers' norm takes together"},
                         ranks);
    case OutputStage::kWholeNorm:
      return absl::InvalidArgumentError(absl::StrCat(
          "megatron_sp gives every rank whole heads, and the norm of ",
          std::string(LinearMixerName(linear.mixer)),
          " takes all heads together: use a method that shares out the "
          "tokens, such as lasp2"));
    default:
      return absl::OkStatus();
  }
}

}  // namespace

HeadCut CutHeads(int64_t heads, int64_t key_heads, int rank, int ranks) {
  LONGSPAN_CHECK(key_heads >= 1 && heads % key_heads == 0 && ranks <= heads)
      << heads << " heads, " << key_heads << " key heads, " << ranks
      << " ranks";
  const int64_t group = heads / key_heads;
  if (ranks <= key_heads) {
    const HeadRange keys = PartOf(key_heads, rank, ranks);
    return {{keys.begin * group, keys.end * group}, keys};
  }
  // The ranks are cut among the key heads, and a key head's heads among its
  // ranks.
  const int64_t key = PartWith(ranks, rank, key_heads);
  const HeadRange sharers = PartOf(ranks, key, key_heads);
  const HeadRange part = PartOf(group, rank - sharers.begin, sharers.size());
  return {{key * group + part.begin, key * group + part.end}, {key, key + 1}};
}

SoftmaxAttentionSpec OwnHeadsOf(const SoftmaxAttentionSpec& softmax, int rank,
                                int ranks) {
  const HeadCut cut = CutHeads(softmax.heads, softmax.key_heads, rank, ranks);
  SoftmaxAttentionSpec own = softmax;
  own.heads = cut.heads.size();
  own.key_heads = cut.key_heads.size();
  return own;
}

absl::Status CheckHeadCut(const ModelSpec& spec, SequenceParallel method,
                          int ranks) {
  if (ranks == 1 || !SharesHeads(method) ||
      !HasLayer(spec, LayerKind::kLinear)) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(
      CheckShares({SequenceParallelName(method), spec.linear.heads}, ranks));
  return method == SequenceParallel::kMegatronSp ? CheckNorm(spec.linear, ranks)
                                                 : absl::OkStatus();
}

absl::Status CheckHeadCut(const ModelSpec& spec, SoftmaxParallel method,
                          int ranks) {
  if (ranks == 1 || !SharesHeads(method) ||
      !HasLayer(spec, LayerKind::kSoftmax)) {
    return absl::OkStatus();
  }
  return CheckShares({SoftmaxParallelName(method), spec.softmax.heads,
                      "heads of the softmax layers", "gather"},
                     ranks);
}

HeadTraffic HeadTrafficOf(const LinearLayerForm& form) {
  int64_t gate = 0;
  if (form.decay == StateDecay::kPerHead) gate = 1;
  if (form.decay == StateDecay::kPerChannel) gate = form.features;
  return {{2 * form.features, form.columns, gate + (form.delta ? 1 : 0)},
          {0, form.columns, 0}};
}

HeadTraffic HeadTrafficOf(const SoftmaxAttentionSpec& softmax) {
  return {{2 * softmax.head_dim, softmax.head_dim, 0},
          {0, softmax.head_dim, 0}};
}

int64_t HeadParcelBytes(const HeadExchangeShape& shape, const HeadRows& rows,
                        int tokens_of, int heads_of) {
  const HeadCut cut = CutHeads(shape.heads, shape.key_heads, heads_of,
                               static_cast<int>(shape.ranges.size()));
  const int64_t narrow =
      rows.key_head * cut.key_heads.size() + rows.head * cut.heads.size();
  const int64_t wide = rows.wide * cut.heads.size();
  return shape.batch * shape.ranges[tokens_of].size() *
         (narrow * shape.element_bytes +
          wide * AccumulatorBytes(shape.element_bytes));
}

HeadMoves PlanHeadMoves(const HeadExchangeShape& shape, const HeadRows& rows,
                        int rank) {
  HeadMoves moves;
  for (int r = 0; r < static_cast<int>(shape.ranges.size()); ++r) {
    if (r == rank) continue;
    moves.sent += HeadParcelBytes(shape, rows, rank, r);
    moves.received += HeadParcelBytes(shape, rows, r, rank);
  }
  return moves;
}

int64_t HeadStagingBytes(const HeadExchangeShape& shape, const HeadRows& rows,
                         int rank) {
  int64_t bytes = 0;
  for (int r = 0; r < static_cast<int>(shape.ranges.size()); ++r) {
    if (r == rank) continue;
    bytes +=
        RoundUp(HeadParcelBytes(shape, rows, rank, r), kHeadParcelAlignment) +
        RoundUp(HeadParcelBytes(shape, rows, r, rank), kHeadParcelAlignment);
  }
  return bytes;
}

int64_t HeadScratchBytes(const HeadExchangeShape& shape,
                         const HeadTraffic& traffic, int rank) {
  return std::max(HeadStagingBytes(shape, traffic.in, rank),
                  HeadStagingBytes(shape, traffic.out, rank));
}

}  // namespace longspan
