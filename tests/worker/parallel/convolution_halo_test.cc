#include "worker/parallel/convolution_halo.h"

#include <vector>

#include "common/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/thread_world.h"
#include "tests/worker/parallel/parallel_rank.h"

namespace longspan::testing {
namespace {

using kernels::DType;
using kernels::TensorView;
using worker::SequenceShard;

constexpr int64_t kKernel = 4;
constexpr int64_t kBorder = kKernel - 1;

struct Case {
  std::vector<TokenRange> ranges;
  std::vector<int64_t> document_starts;
  TokenLayout layout = TokenLayout::kContiguous;
};

// One channel; token t holds t + 1, tokens before the piece hold 100 + t.
absl::Status Exchange(worker::ProcessGroup& group, const Case& c) {
  const ParallelRank rank(&group);
  const int64_t tokens = c.ranges.back().end;
  ASSIGN_OR_RETURN(const SequenceShard shard,
                   SequenceShard::Create(
                       {.tokens = tokens, .document_starts = c.document_starts},
                       c.ranges, group.rank(), c.layout));
  std::vector<int64_t> own;
  for (const worker::ShardPart& part : shard.parts()) {
    for (int64_t t = part.range.begin; t < part.range.end; ++t) {
      own.push_back(t);
    }
  }
  const int64_t count = shard.tokens();
  std::vector<double> x;
  for (int64_t t : own) x.push_back(t + 1.0);
  const TensorView x_view(x.data(), DType::kF64, {1, count, 1});
  const int64_t parts = shard.part_count();
  const int64_t staged = parts * HaloStagingTokens(kKernel, group.size());
  std::vector<double> staging(staged + 1), entering = {97, 98, 99};
  worker::ConvolutionHalo exchange(
      rank.context(), 0, shard, kKernel, 1,
      TensorView(staging.data(), DType::kF64, {staged}));
  std::vector<double> halo(parts * kBorder);
  const TensorView halo_view(halo.data(), DType::kF64, {parts, 1, kBorder, 1});
  RETURN_IF_ERROR(exchange.StartForward(x_view));
  RETURN_IF_ERROR(exchange.FinishForward(
      x_view, TensorView(entering.data(), DType::kF64, {1, kBorder, 1}),
      halo_view));
  for (int64_t i = 0; i < parts * kBorder; ++i) {
    const int64_t begin = shard.parts()[i / kBorder].range.begin;
    const int64_t document = shard.DocumentBegin(begin);
    const int64_t t = begin - kBorder + i % kBorder;
    const double value = t < 0 ? 100.0 + t : t + 1.0;
    EXPECT_EQ(halo[i], document >= 0 && t < document ? 0.0 : value)
        << "token " << t << " in a halo of rank " << group.rank();
  }

  if (c.layout == TokenLayout::kContiguous) {
    std::vector<double> tail(kBorder);
    RETURN_IF_ERROR(exchange.LeavingTail(
        x_view, halo_view,
        TensorView(tail.data(), DType::kF64, {1, kBorder, 1})));
    const int64_t last = shard.DocumentBegin(tokens - 1);
    for (int64_t i = 0; i < kBorder; ++i) {
      const int64_t t = tokens - kBorder + i;
      EXPECT_EQ(tail[i], last >= 0 && t < last ? 0.0 : t + 1.0);
    }
  }

  // Every halo row that counts sends 1 home.
  std::vector<double> d_halo(parts * kBorder, 1.0), d_x(count, 0.0);
  const TensorView d_x_view(d_x.data(), DType::kF64, {1, count, 1});
  const TensorView d_halo_view(d_halo.data(), DType::kF64,
                               {parts, 1, kBorder, 1});
  RETURN_IF_ERROR(exchange.StartBackward(d_halo_view));
  RETURN_IF_ERROR(exchange.FinishBackward(d_halo_view, d_x_view));
  for (int64_t i = 0; i < count; ++i) {
    double expected = 0;
    for (const TokenRange& later : c.ranges) {
      if (later.size() == 0) continue;
      const bool near = later.begin > own[i] && later.begin - kBorder <= own[i];
      const bool same = shard.DocumentBegin(later.begin) <= own[i];
      if (near && same) expected += 1;
    }
    EXPECT_EQ(d_x[i], expected) << "token " << own[i];
  }
  return absl::OkStatus();
}

constexpr TokenLayout kZigzag = TokenLayout::kZigzag;

TEST(ConvolutionHaloTest, BordersGoRightAndGradientsLeft) {
  const std::vector<Case> cases = {
      {{{0, 6}, {6, 12}}, {}},
      {{{0, 4}, {4, 9}, {9, 16}}, {}},
      {{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}}, {}},
      {{{0, 5}, {5, 6}, {6, 7}, {7, 12}}, {}},
      {{{0, 6}, {6, 12}}, {0, 5}},
      {{{0, 6}, {6, 12}}, {6}},
      {{{0, 5}, {5, 6}, {6, 7}, {7, 12}}, {4, 6, 11}},
      {{{0, 4}, {4, 8}, {8, 12}, {12, 16}}, {}, kZigzag},
      {{{0, 4}, {4, 8}, {8, 12}, {12, 16}}, {6, 11}, kZigzag},
      {{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}}, {}, kZigzag},
      {{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}}, {2, 5}, kZigzag},
      {{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 4}, {4, 4}}, {}, kZigzag},
      {{{0, 9}, {9, 10}, {10, 12}, {12, 19}, {19, 20}, {20, 21}}, {}, kZigzag},
  };
  for (const Case& c : cases) {
    const absl::Status status = RunThreadWorld(
        RankCount(c.layout, static_cast<int64_t>(c.ranges.size())),
        [&](worker::ProcessGroup& group) { return Exchange(group, c); });
    EXPECT_TRUE(status.ok()) << status;
  }
}

}  // namespace
}  // namespace longspan::testing
