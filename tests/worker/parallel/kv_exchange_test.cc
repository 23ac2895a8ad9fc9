#include "worker/parallel/kv_exchange.h"

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

constexpr int64_t kTokens = 11;
constexpr int64_t kWidth = 4;

double ValueAt(int64_t b, int64_t token, int64_t column) {
  return 1000.0 * b + 10.0 * token + column;
}

absl::Status Exchange(worker::ProcessGroup& group, int64_t batch,
                      TokenLayout layout) {
  const ParallelRank rank(&group);
  ASSIGN_OR_RETURN(const SequenceShard shard,
                   SequenceShard::Split({.batch = batch, .tokens = kTokens},
                                        group.size(), group.rank(), layout));
  std::vector<int64_t> own;
  for (const worker::ShardPart& part : shard.parts()) {
    for (int64_t t = part.range.begin; t < part.range.end; ++t) {
      own.push_back(t);
    }
  }
  const int64_t count_own = shard.tokens();
  std::vector<double> rows(batch * kTokens * kWidth, -1);
  const TensorView view(rows.data(), DType::kF64, {batch, kTokens, kWidth});
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t : own) {
      for (int64_t c = 0; c < kWidth; ++c) {
        rows[(b * kTokens + t) * kWidth + c] = ValueAt(b, t, c);
      }
    }
  }
  const int64_t count = worker::KvExchange::StagingCount(shard, kWidth);
  std::vector<double> staging(count);
  const TensorView staged =
      count == 0 ? TensorView()
                 : TensorView(staging.data(), DType::kF64, {count});
  const worker::RankContext context = rank.context();
  worker::KvExchange exchange(context, 3, shard, kWidth);
  RETURN_IF_ERROR(exchange.BeginGather(view, staged));
  RETURN_IF_ERROR(exchange.FinishGather());
  for (int64_t i = 0; i < static_cast<int64_t>(rows.size()); ++i) {
    EXPECT_EQ(rows[i], ValueAt(i / (kTokens * kWidth), i / kWidth % kTokens,
                               i % kWidth));
  }

  // Every rank contributes the same rows times its number plus one.
  for (double& row : rows) row *= group.rank() + 1;
  std::vector<double> d_own(batch * count_own * kWidth);
  std::vector<double> sums(d_own.size());
  const bool apart = worker::KvExchange::SumsApart(context, shard, false);
  RETURN_IF_ERROR(exchange.BeginScatter(
      view,
      worker::KvExchange::StagesGradients(context, shard) ? staged
                                                          : TensorView(),
      TensorView((apart ? sums : d_own).data(), DType::kF64,
                 {batch, count_own, kWidth})));
  RETURN_IF_ERROR(exchange.FinishScatter(TensorView(
      d_own.data(), DType::kF64, {batch, count_own, 2, kWidth / 2})));
  const double sum = group.size() * (group.size() + 1) / 2;
  for (int64_t i = 0; i < static_cast<int64_t>(d_own.size()); ++i) {
    EXPECT_EQ(d_own[i], sum * ValueAt(i / (count_own * kWidth),
                                      own[i / kWidth % count_own], i % kWidth));
  }
  return absl::OkStatus();
}

TEST(KvExchangeTest, RowsGoEverywhereAndGradientsComeHome) {
  for (int ranks : {2, 3, 4, 7, 11}) {
    for (int64_t batch : {1, 3}) {
      for (TokenLayout layout :
           {TokenLayout::kContiguous, TokenLayout::kZigzag}) {
        SCOPED_TRACE(::testing::Message() << ranks << " ranks, batch " << batch
                                          << ", " << TokenLayoutName(layout));
        const absl::Status status =
            RunThreadWorld(ranks, [&](worker::ProcessGroup& group) {
              return Exchange(group, batch, layout);
            });
        EXPECT_TRUE(status.ok()) << status;
      }
    }
  }
}

}  // namespace
}  // namespace longspan::testing
