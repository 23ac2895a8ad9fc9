#include "worker/parallel/memory_state.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan::worker {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

TEST(MemoryStateTest, SummariesCompose) {
  const MemorySummary early = {std::log(0.5), {1, 2}};
  const MemorySummary late = {std::log(0.25), {10, 20}};
  const MemorySummary both = Compose(late, early);
  EXPECT_DOUBLE_EQ(std::exp(both.log_decay), 0.125);
  EXPECT_THAT(both.state,
              ElementsAre(DoubleNear(10.25, 1e-12), DoubleNear(20.5, 1e-12)));
}

TEST(MemoryStateTest, CompositionIsAssociative) {
  const MemorySummary a = {-0.1, {1, -2, 3}};
  const MemorySummary b = {-0.7, {4, 5, 6}};
  const MemorySummary c = {-2.0, {0.5, 7, -8}};
  const MemorySummary left = Compose(Compose(c, b), a);
  const MemorySummary right = Compose(c, Compose(b, a));
  EXPECT_DOUBLE_EQ(left.log_decay, right.log_decay);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(left.state[i], right.state[i], 1e-12);
  }
}

TEST(MemoryStateTest, ADocumentForgetsWhatCameBefore) {
  const double forget = -std::numeric_limits<double>::infinity();
  const MemorySummary both = Compose({forget, {3}}, {-0.5, {100}});
  EXPECT_THAT(both.state, ElementsAre(3));
  EXPECT_EQ(both.log_decay, forget);
}

TEST(MemoryStateTest, RowsHoldStateThenDecay) {
  const MemoryShape shape = {2, 3, 4, 5};
  EXPECT_EQ(SummaryBuffer::RowCount(shape, false), 120);
  EXPECT_EQ(SummaryBuffer::RowCount(shape, true), 126);
  std::vector<float> numbers(3 * 126);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
  const SummaryBuffer buffer(
      kernels::TensorView(numbers.data(), kernels::DType::kF32, {3, 126}),
      shape);
  EXPECT_EQ(buffer.State(1).data_as<float>()[0], 126);
  EXPECT_EQ(buffer.Decay(1).data_as<float>()[5], 251);
  const kernels::TensorView states = buffer.States();
  EXPECT_EQ(states.rank(), 5);
  EXPECT_EQ(states.stride(0), 126);
  EXPECT_EQ(states.size(3), 4);
  EXPECT_EQ(states.Slice(0, 2, 3).data_as<float>()[0], 252);
  EXPECT_EQ(buffer.Decays().stride(0), 126);
  EXPECT_EQ(buffer.Decays().data_as<float>()[0], 120);
}

TEST(MemoryStateTest, RowsOfTheStateMayHaveDecaysOfTheirOwn) {
  const MemoryShape shape = {2, 3, 4, 5,
                             kernels::LinearAttentionDecay::kChannel};
  EXPECT_EQ(SummaryBuffer::RowCount(shape, true), 120 + 24);
  std::vector<float> numbers(2 * 144);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
  const SummaryBuffer buffer(
      kernels::TensorView(numbers.data(), kernels::DType::kF32, {2, 144}),
      shape);
  EXPECT_EQ(buffer.Decay(1).DebugString(), "f32[2, 3, 4]");
  EXPECT_EQ(buffer.Decay(1).data_as<float>()[23], 287);
  EXPECT_EQ(buffer.Decays().DebugString(), "f32[2, 2, 3, 4]");
  EXPECT_EQ(buffer.Decays().stride(0), 144);
}

TEST(MemoryStateTest, ConstantDecaysFollowTheTrueLengths) {
  const auto shard = SequenceShard::Create(
      {.tokens = 10, .document_starts = {7}}, {{0, 4}, {4, 5}, {5, 10}}, 0);
  ASSERT_TRUE(shard.ok());
  std::vector<double> decays(6);
  FillConstantDecays(
      *shard, {-0.5, -2.0},
      kernels::TensorView(decays.data(), kernels::DType::kF64, {3, 1, 2}));
  const double forget = -std::numeric_limits<double>::infinity();
  EXPECT_THAT(decays, ElementsAre(-2.0, -8.0, -0.5, -2.0, forget, forget));
}

}  // namespace
}  // namespace longspan::worker
