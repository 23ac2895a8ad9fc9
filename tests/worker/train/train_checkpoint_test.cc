#include "worker/train/train_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "common/base/status_macros.h"
#include "tests/support/job/test_rank.h"
#include "tests/support/thread_world.h"
#include "worker/checkpoint/checkpoint_directory.h"

namespace longspan::worker {
namespace {

using longspan::testing::RunThreadWorld;
using longspan::testing::TestRank;
using longspan::testing::TinyModel;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TrainCheckpointTest : public ::testing::Test {
 protected:
  TrainCheckpointTest() {
    options_.directory = ::testing::TempDir() + "/train_checkpoint_" +
                         std::to_string(::getpid());
    std::filesystem::remove_all(options_.directory);
  }
  ~TrainCheckpointTest() override {
    std::filesystem::remove_all(options_.directory);
  }

  // Rank r's parameters begin with seeds[r].
  absl::Status SaveWithSeeds(const std::vector<uint64_t>& seeds) {
    return RunThreadWorld(
        static_cast<int>(seeds.size()), [&](ProcessGroup& group) {
          const TestRank rank(&group);
          const ModelSpec spec = TinyModel("L", LinearMixer::kBasic);
          ASSIGN_OR_RETURN(const auto parameters,
                           Parameters::Create(rank.context(), spec, true));
          RETURN_IF_ERROR(parameters->Initialize(seeds[group.rank()]));
          Model model(spec, *parameters);
          ASSIGN_OR_RETURN(
              const auto step,
              TrainStep::Create(rank.context(), &model, parameters.get(), {}));
          TrainCheckpoint checkpoint(options_, rank.context(), parameters.get(),
                                     step.get());
          return checkpoint.Save({.step = 3}).status();
        });
  }

  TrainCheckpointOptions options_;
};

TEST_F(TrainCheckpointTest, RanksWhoseParametersDifferAreCaught) {
  const absl::Status status = SaveWithSeeds({1, 1, 2});
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("parameters differ between ranks"));
  EXPECT_TRUE(ListCheckpoints(options_.directory).value().empty());
  EXPECT_TRUE(SaveWithSeeds({1, 1, 1}).ok());
  EXPECT_EQ(ListCheckpoints(options_.directory).value().size(), 1u);
}

TEST_F(TrainCheckpointTest, EveryRankWritesAShard) {
  ASSERT_TRUE(SaveWithSeeds({4, 4, 4}).ok());
  const auto checkpoint =
      CheckpointReader::Open(
          ListCheckpoints(options_.directory).value()[0].path)
          .value();
  EXPECT_EQ(checkpoint->manifest().shards.size(), 3u);
  EXPECT_EQ(checkpoint->manifest().world_size, 3);
  // Read back whole, whatever the shards.
  const ModelSpec spec = TinyModel("L", LinearMixer::kBasic);
  const TestRank rank(nullptr);
  const auto written = Parameters::Create(rank.context(), spec, false).value();
  ASSERT_TRUE(written->Initialize(4).ok());
  const auto read = Parameters::Create(rank.context(), spec, false).value();
  ASSERT_TRUE(ReadParameters(*checkpoint, *read).ok());
  const auto* a = written->values().data_as<double>();
  const auto* b = read->values().data_as<double>();
  EXPECT_TRUE(std::equal(a, a + written->values().element_count(), b));
}

TEST_F(TrainCheckpointTest, AnotherModelIsNamed) {
  ASSERT_TRUE(SaveWithSeeds({4}).ok());
  const auto checkpoint =
      CheckpointReader::Open(
          ListCheckpoints(options_.directory).value()[0].path)
          .value();
  const TestRank rank(nullptr);
  const auto other =
      Parameters::Create(rank.context(), TinyModel("LL", LinearMixer::kBasic),
                         false)
          .value();
  const absl::Status status = ReadParameters(*checkpoint, *other);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("layers.1"));
}

TEST_F(TrainCheckpointTest, AnUnwritableDirectoryIsAnErrorOnAllRanks) {
  options_.directory = "/proc/no/such/place";
  EXPECT_FALSE(SaveWithSeeds({1, 1}).ok());
}

TEST(GatherTextsTest, EveryRankGetsEveryText) {
  ASSERT_TRUE(RunThreadWorld(3, [](ProcessGroup& group) {
                const TestRank rank(&group);
                ASSIGN_OR_RETURN(
                    const std::vector<std::string> texts,
                    GatherTexts(rank.context(),
                                "rank " + std::to_string(group.rank())));
                EXPECT_THAT(texts, ElementsAre("rank 0", "rank 1", "rank 2"));
                return absl::OkStatus();
              }).ok());
}

}  // namespace
}  // namespace longspan::worker
