#include "worker/parallel/head_exchange.h"

#include <cstdint>
#include <vector>

#include "common/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/thread_world.h"
#include "tests/worker/parallel/parallel_rank.h"

namespace longspan::testing {
namespace {

using kernels::DType;
using kernels::TensorView;
using worker::Direction;
using worker::HeadExchange;
using worker::SequenceShard;

struct Layout {
  int64_t batch;
  int64_t tokens;
  int64_t heads;
  int64_t key_heads;
  std::vector<TokenRange> ranges;
};

constexpr int64_t kKeySize = 2;
constexpr int64_t kValueSize = 3;

// A number that no other place has; of sums from `rank`s.
double ValueAt(int tensor, int64_t b, int64_t token, int64_t head, int64_t d) {
  return tensor + 10.0 * d + 100.0 * head + 1e4 * token + 1e7 * b;
}

// A tensor [B, tokens, heads, D] with its numbers.
struct Rows {
  Rows(int64_t batch, int64_t tokens, int64_t heads, int64_t size)
      : values(batch * tokens * heads * size, -1.0),
        view(values.data(), DType::kF64, {batch, tokens, heads, size}) {}

  // Calls f(b, token, head, d, number).
  template <typename F>
  void ForEach(const F& f) {
    int64_t i = 0;
    for (int64_t b = 0; b < view.size(0); ++b) {
      for (int64_t t = 0; t < view.size(1); ++t) {
        for (int64_t h = 0; h < view.size(2); ++h) {
          for (int64_t d = 0; d < view.size(3); ++d) f(b, t, h, d, values[i++]);
        }
      }
    }
  }

  std::vector<double> values;
  TensorView view;
};

absl::Status RoundTrip(worker::ProcessGroup& group, const Layout& layout) {
  const ParallelRank rank(&group);
  ASSIGN_OR_RETURN(
      const SequenceShard shard,
      SequenceShard::Create({.batch = layout.batch, .tokens = layout.tokens},
                            layout.ranges, group.rank()));
  const HeadExchange exchange(rank.context(), 2, Direction::kForward, shard,
                              layout.heads, layout.key_heads);
  const HeadCut own = exchange.own();
  const HeadExchangeShape shape = {layout.batch, layout.ranges, layout.heads,
                                   layout.key_heads, 8};
  // One head of keys has kKeySize numbers, one of values with its gate more.
  const HeadRows rows = {kKeySize, kValueSize, 1};
  std::vector<char> bytes(HeadStagingBytes(shape, rows, group.rank()));
  const TensorView staging(bytes.data(), DType::kU8,
                           {static_cast<int64_t>(bytes.size())});

  const int64_t n = shard.tokens();
  Rows keys(layout.batch, n, layout.key_heads, kKeySize);
  Rows values(layout.batch, n, layout.heads, kValueSize);
  Rows gates(layout.batch, n, layout.heads, 1);
  const int64_t begin = shard.range().begin;
  const auto fill = [&](int tensor, Rows& x) {
    x.ForEach([&](int64_t b, int64_t t, int64_t h, int64_t d, double& value) {
      value = ValueAt(tensor, b, begin + t, h, d);
    });
  };
  fill(1, keys);
  fill(2, values);
  fill(3, gates);
  Rows head_keys(layout.batch, layout.tokens, own.key_heads.size(), kKeySize);
  Rows head_values(layout.batch, layout.tokens, own.heads.size(), kValueSize);
  Rows head_gates(layout.batch, layout.tokens, own.heads.size(), 1);
  RETURN_IF_ERROR(
      exchange.ToHeads({{gates.view.Select(3, 0), head_gates.view.Select(3, 0)},
                        {keys.view, head_keys.view, true},
                        {values.view, head_values.view}},
                       staging));
  const auto expect = [&](int tensor, Rows& x, int64_t first_token,
                          int64_t first_head, double times) {
    x.ForEach([&](int64_t b, int64_t t, int64_t h, int64_t d, double value) {
      EXPECT_EQ(value,
                times * ValueAt(tensor, b, first_token + t, first_head + h, d));
    });
  };
  expect(1, head_keys, 0, own.key_heads.begin, 1);
  expect(2, head_values, 0, own.heads.begin, 1);
  expect(3, head_gates, 0, own.heads.begin, 1);

  // Back: a shared key head comes once from each of its ranks.
  Rows back_keys(layout.batch, n, layout.key_heads, kKeySize);
  Rows back_values(layout.batch, n, layout.heads, kValueSize);
  Rows back_gates(layout.batch, n, layout.heads, 1);
  RETURN_IF_ERROR(exchange.ToTokens(
      {{head_gates.view.Select(3, 0), back_gates.view.Select(3, 0)},
       {head_keys.view, back_keys.view, true},
       {head_values.view, back_values.view}},
      staging));
  EXPECT_EQ(back_values.values, values.values);
  EXPECT_EQ(back_gates.values, gates.values);
  back_keys.ForEach([&](int64_t b, int64_t t, int64_t h, int64_t d, double v) {
    int sharers = 0;
    for (int r = 0; r < group.size(); ++r) {
      const HeadRange heads =
          CutHeads(layout.heads, layout.key_heads, r, group.size()).key_heads;
      if (heads.begin <= h && h < heads.end) ++sharers;
    }
    EXPECT_EQ(v, sharers * ValueAt(1, b, begin + t, h, d));
  });

  const HeadMoves moves = PlanHeadMoves(shape, rows, group.rank());
  const auto counted =
      group
          .counters()[{worker::Traffic::kHeadExchange, Direction::kForward, 2}];
  EXPECT_EQ(counted.launches, 2);
  EXPECT_EQ(counted.bytes_sent, moves.sent + moves.received);
  EXPECT_EQ(counted.bytes_received, moves.sent + moves.received);
  return absl::OkStatus();
}

std::vector<TokenRange> Even(int64_t tokens, int ranks) {
  return *SplitTokens(tokens, ranks);
}

TEST(HeadExchangeTest, RowsGoToTheirHeadsAndComeHome) {
  for (const Layout& layout : std::vector<Layout>{
           {1, 12, 4, 4, Even(12, 2)},
           {1, 11, 5, 5, Even(11, 3)},
           {3, 11, 4, 4, Even(11, 4)},
           {2, 9, 3, 3, {{0, 1}, {1, 7}, {7, 9}}},
           // Fewer heads of q and k: whole ones, and parts of one.
           {2, 11, 6, 3, Even(11, 2)},
           {2, 11, 6, 3, Even(11, 3)},
           {2, 11, 6, 2, Even(11, 5)},
           {1, 10, 8, 1, Even(10, 7)},
           {1, 8, 8, 8, Even(8, 8)}}) {
    const int ranks = static_cast<int>(layout.ranges.size());
    SCOPED_TRACE(::testing::Message()
                 << layout.heads << " heads, " << layout.key_heads
                 << " key heads, " << ranks << " ranks");
    const absl::Status status = RunThreadWorld(
        ranks,
        [&](worker::ProcessGroup& group) { return RoundTrip(group, layout); });
    EXPECT_TRUE(status.ok()) << status;
  }
}

// The narrow and the wide part of a parcel lie beside each other.
TEST(HeadExchangeTest, OperandsMayDifferInType) {
  const absl::Status status =
      RunThreadWorld(2, [&](worker::ProcessGroup& group) -> absl::Status {
        const ParallelRank rank(&group);
        ASSIGN_OR_RETURN(
            const SequenceShard shard,
            SequenceShard::Split({.batch = 1, .tokens = 5}, 2, group.rank()));
        const HeadExchange exchange(rank.context(), 0, Direction::kForward,
                                    shard, 2, 2);
        const int64_t n = shard.tokens();
        std::vector<float> wide(n * 2), head_wide(5);
        std::vector<uint16_t> narrow(n * 2), head_narrow(5);
        for (int64_t i = 0; i < 2 * n; ++i) {
          const int64_t place = 2 * shard.range().begin + i;
          wide[i] = static_cast<float>(place);
          narrow[i] = static_cast<uint16_t>(100 + place);
        }
        const HeadExchangeShape shape = {1, shard.ranges(), 2, 2, 2};
        std::vector<char> bytes(
            HeadStagingBytes(shape, {0, 1, 1}, group.rank()));
        RETURN_IF_ERROR(exchange.ToHeads(
            {{TensorView(wide.data(), DType::kF32, {1, n, 2}),
              TensorView(head_wide.data(), DType::kF32, {1, 5, 1})},
             {TensorView(narrow.data(), DType::kBF16, {1, n, 2}),
              TensorView(head_narrow.data(), DType::kBF16, {1, 5, 1})}},
            TensorView(bytes.data(), DType::kU8,
                       {static_cast<int64_t>(bytes.size())})));
        for (int t = 0; t < 5; ++t) {
          EXPECT_EQ(head_wide[t], 2.0f * t + group.rank());
          EXPECT_EQ(head_narrow[t], 100 + 2 * t + group.rank());
        }
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace longspan::testing
