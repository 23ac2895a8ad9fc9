#include "worker/tensor/arena.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "kernels/api/host_memory.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {
namespace {

using kernels::DType;

TEST(ArenaTest, BuffersAreAlignedAndApart) {
  kernels::HostMemory memory;
  Arena arena = *Arena::Create(memory, 4096);
  const auto a = arena.Allocate("a", DType::kF32, {3, 5});
  const auto b = arena.Allocate("b", DType::kF64, {7});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.data()) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data()) % 64, 0u);
  EXPECT_EQ(static_cast<char*>(b.data()) - static_cast<char*>(a.data()), 64);
  EXPECT_EQ(a.size(1), 5);
  EXPECT_EQ(arena.high_water(), 128);
}

TEST(ArenaTest, ScopesGiveBackWhatTheyTook) {
  kernels::HostMemory memory;
  Arena arena = *Arena::Create(memory, 1024);
  const auto kept = arena.Allocate("kept", DType::kU8, {64});
  void* first = nullptr;
  {
    const ArenaScope scope(arena);
    first = arena.Allocate("scratch", DType::kU8, {512}).data();
  }
  EXPECT_EQ(arena.Allocate("again", DType::kU8, {64}).data(), first);
  EXPECT_EQ(arena.high_water(), 64 + 512);
  EXPECT_NE(kept.data(), first);
}

TEST(ArenaTest, RecordsNamesAndRoundedSizes) {
  kernels::HostMemory memory;
  Arena arena = *Arena::Create(memory, 1024);
  arena.Allocate("before", DType::kU8, {1});
  arena.StartRecording();
  arena.Allocate("x", DType::kF32, {17});
  EXPECT_TRUE(arena.AllocateWorkspace("none", 0).is_null());
  ASSERT_EQ(arena.recording().size(), 1u);
  EXPECT_EQ(arena.recording()[0].name, "x");
  EXPECT_EQ(arena.recording()[0].bytes, 128);
}

TEST(ArenaDeathTest, MoreThanThePlanAborts) {
  kernels::HostMemory memory;
  Arena arena = *Arena::Create(memory, 128);
  arena.Allocate("fits", DType::kU8, {100});
  EXPECT_DEATH(arena.Allocate("too much", DType::kU8, {1}),
               "buffer 'too much' of 1 bytes does not fit");
}

TEST(TensorTest, StartsAtZeroAndMoves) {
  kernels::HostMemory memory;
  Tensor tensor = *Tensor::Create(memory, DType::kF32, 1000);
  EXPECT_EQ(tensor.view().data_as<float>()[999], 0.0f);
  tensor.View(10, {2, 5}).data_as<float>()[3] = 4.0f;
  const Tensor moved = std::move(tensor);
  EXPECT_EQ(moved.view().data_as<float>()[13], 4.0f);
  EXPECT_EQ(moved.bytes(), 4000);
}

TEST(TensorTest, ARefusedReservationIsAnError) {
  kernels::HostMemory memory;
  const auto huge = Tensor::Create(memory, DType::kF64, int64_t{1} << 58);
  EXPECT_EQ(huge.status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace longspan::worker
