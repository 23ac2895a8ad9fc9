#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/checkpoint/checkpoint_writer.h"

namespace longspan::worker {
namespace {

namespace fs = std::filesystem;
using kernels::DType;
using kernels::TensorView;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        ::testing::TempDir() + "/checkpoint_test_" +
        ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  TensorView Weights() { return {weights_.data(), DType::kF32, {4, 3}}; }

  // Two ranks: each has two rows of "w", rank 0 has all of "count".
  std::vector<CheckpointTensor> TensorsOf(int64_t rank) {
    std::vector<CheckpointTensor> tensors = {
        {"w",
         Weights().Slice(0, 2 * rank, 2 * rank + 2),
         {4, 3},
         {2 * rank, 0}}};
    if (rank == 0) {
      tensors.push_back({"count", TensorView(&count_, DType::kI64, {1})});
    }
    return tensors;
  }

  Manifest ManifestAt(int64_t step) {
    Manifest manifest;
    manifest.step = step;
    manifest.seed = 0xffffffffffffffffu;
    manifest.world_size = 2;
    manifest.job = "tenants/default/jobs/demo";
    manifest.attempt = 1;
    manifest.instruction_set = "avx512";
    manifest.build = "0.1.0 abcdef";
    manifest.parameter_digest = "digest";
    manifest.state = {{"updates", "119"}, {"model", "{\"layers\": 2}"}};
    return manifest;
  }

  absl::StatusOr<std::string> Write(int64_t step, int64_t attempt = 1) {
    const CheckpointTarget target = {directory_, step, attempt};
    Manifest manifest = ManifestAt(step);
    for (int64_t rank : {0, 1}) {
      const auto shard = WriteShard(target, rank, 2, TensorsOf(rank));
      if (!shard.ok()) return shard.status();
      manifest.shards.push_back(*shard);
    }
    return CommitCheckpoint(target, manifest);
  }

  static std::string ReadFile(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  // A new file each time: truncating one makes ext4 wait for the disk.
  static void WriteFile(const std::string& path, const std::string& bytes) {
    fs::remove(path);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::vector<std::string> FilesOf(const std::string& path) {
    std::vector<std::string> files;
    for (const auto& file : fs::directory_iterator(path)) {
      files.push_back(file.path().string());
    }
    return files;
  }

  std::string directory_;
  std::vector<float> weights_ = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  int64_t count_ = 42;
};

TEST_F(CheckpointTest, ReadsBackWhatTwoRanksWrote) {
  const auto path = Write(120);
  ASSERT_EQ(path.status(), absl::OkStatus());
  EXPECT_EQ(*path, directory_ + "/step-00000120");
  const auto reader = CheckpointReader::Open(*path);
  ASSERT_EQ(reader.status(), absl::OkStatus());
  const Manifest& manifest = (*reader)->manifest();
  EXPECT_EQ(manifest.step, 120);
  EXPECT_EQ(manifest.seed, 0xffffffffffffffffu);
  EXPECT_EQ(manifest.instruction_set, "avx512");
  EXPECT_EQ(manifest.state.at("updates"), "119");
  EXPECT_THAT((*reader)->names(), ElementsAre("count", "w"));

  std::vector<float> weights(12, 0.0f);
  ASSERT_EQ((*reader)->Read("w", {weights.data(), DType::kF32, {4, 3}}),
            absl::OkStatus());
  EXPECT_EQ(weights, weights_);
  int64_t count = 0;
  ASSERT_EQ((*reader)->Read("count", {&count, DType::kI64, {1}}),
            absl::OkStatus());
  EXPECT_EQ(count, 42);
}

TEST_F(CheckpointTest, SlicesMayCutAnyDimension) {
  std::vector<float> left = {1, 2, 4, 5};
  std::vector<float> right = {3, 6};
  const CheckpointTarget target = {directory_, 1, 1};
  Manifest manifest = ManifestAt(1);
  const std::vector<CheckpointTensor> parts = {
      {"w", TensorView(left.data(), DType::kF32, {2, 2}), {2, 3}, {0, 0}},
      {"w", TensorView(right.data(), DType::kF32, {2, 1}), {2, 3}, {0, 2}}};
  for (int64_t i : {0, 1}) {
    manifest.shards.push_back(*WriteShard(target, i, 2, {parts[i]}));
  }
  const auto path = CommitCheckpoint(target, manifest);
  ASSERT_EQ(path.status(), absl::OkStatus());
  std::vector<float> whole(6);
  ASSERT_EQ((*CheckpointReader::Open(*path))
                ->Read("w", {whole.data(), DType::kF32, {2, 3}}),
            absl::OkStatus());
  EXPECT_THAT(whole, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(CheckpointTest, RefusesSlicesThatDoNotTile) {
  const CheckpointTarget target = {directory_, 1, 1};
  Manifest manifest = ManifestAt(1);
  manifest.shards.push_back(*WriteShard(target, 0, 2, TensorsOf(0)));
  const auto missing = CommitCheckpoint(target, manifest);
  EXPECT_THAT(std::string(missing.status().message()),
              HasSubstr("slices of tensor w do not fill it"));
  manifest.shards.push_back(*WriteShard(target, 1, 2, TensorsOf(0)));
  const auto twice = CommitCheckpoint(target, manifest);
  EXPECT_EQ(twice.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(*ListCheckpoints(directory_), IsEmpty());
}

TEST_F(CheckpointTest, RefusesSlicesOutsideTheirTensor) {
  const CheckpointTarget target = {directory_, 1, 1};
  const CheckpointTensor outside = {
      "w", Weights().Slice(0, 0, 2), {4, 3}, {3, 0}};
  EXPECT_EQ(WriteShard(target, 0, 1, {outside}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(CheckpointTest, ReadNamesTheTensorThatDoesNotFit) {
  const auto reader = CheckpointReader::Open(*Write(1));
  const absl::Status shape =
      (*reader)->Read("w", {weights_.data(), DType::kF32, {3, 4}});
  EXPECT_THAT(std::string(shape.message()),
              HasSubstr("tensor w is F32[4, 3], wanted is f32[3, 4]"));
  EXPECT_EQ((*reader)->Read("v", Weights()).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(CheckpointTest, LatestIsTheHighestStep) {
  for (int64_t step : {9, 100, 20}) ASSERT_TRUE(Write(step).ok());
  const auto latest = LoadLatest(directory_);
  ASSERT_EQ(latest.status(), absl::OkStatus());
  EXPECT_EQ(latest->checkpoint->manifest().step, 100);
  EXPECT_THAT(latest->refused, IsEmpty());
}

TEST_F(CheckpointTest, NoCheckpointIsNotFound) {
  EXPECT_EQ(LoadLatest(directory_).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(CheckpointTest, EveryTruncationFallsBackAndNamesTheFile) {
  ASSERT_TRUE(Write(1).ok());
  const std::string path = *Write(2);
  for (const std::string& file : FilesOf(path)) {
    const std::string good = ReadFile(file);
    for (size_t size = 0; size < good.size(); ++size) {
      WriteFile(file, good.substr(0, size));
      const auto latest = LoadLatest(directory_);
      ASSERT_EQ(latest.status(), absl::OkStatus());
      ASSERT_EQ(latest->checkpoint->manifest().step, 1) << file << " " << size;
      ASSERT_THAT(latest->refused, ElementsAre(HasSubstr(file)));
    }
    WriteFile(file, good);
  }
  EXPECT_EQ(LoadLatest(directory_)->checkpoint->manifest().step, 2);
}

TEST_F(CheckpointTest, EveryFlippedBitIsRefusedByName) {
  const std::string path = *Write(2);
  for (const std::string& file : FilesOf(path)) {
    const std::string good = ReadFile(file);
    for (size_t bit = 0; bit < good.size() * 8; bit += 3) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
      WriteFile(file, bad);
      const absl::Status status = CheckpointReader::Open(path).status();
      ASSERT_FALSE(status.ok()) << file << " bit " << bit;
      ASSERT_THAT(std::string(status.message()), HasSubstr(path));
    }
    WriteFile(file, good);
  }
}

TEST_F(CheckpointTest, AllDamagedIsDataLossWithAllReasons) {
  for (int64_t step : {1, 2}) {
    WriteFile(*Write(step) + "/shard-00000-of-00002.safetensors", "x");
  }
  const absl::Status status = LoadLatest(directory_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("step-00000001"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("step-00000002"));
}

TEST_F(CheckpointTest, UnfinishedCheckpointsDoNotCount) {
  ASSERT_TRUE(Write(1).ok());
  ASSERT_TRUE(WriteShard({directory_, 2, 1}, 0, 2, TensorsOf(0)).ok());
  fs::create_directories(directory_ + "/step-00000003");  // no manifest
  fs::create_directories(directory_ + "/step-x");
  const auto latest = LoadLatest(directory_);
  ASSERT_EQ(latest.status(), absl::OkStatus());
  EXPECT_EQ(latest->checkpoint->manifest().step, 1);
  EXPECT_THAT(latest->refused, ElementsAre(HasSubstr("step-00000003")));
}

TEST_F(CheckpointTest, AnIntactCheckpointIsNeverReplaced) {
  const std::string path = *Write(1);
  const std::string before = ReadFile(path + "/manifest.json");
  weights_[0] = 99;
  EXPECT_EQ(*Write(1, 2), path);
  EXPECT_EQ(ReadFile(path + "/manifest.json"), before);
}

TEST_F(CheckpointTest, ADamagedCheckpointIsMovedAside) {
  const std::string path = *Write(1);
  WriteFile(path + "/shard-00001-of-00002.safetensors", "x");
  EXPECT_EQ(*Write(1, 2), path);
  EXPECT_EQ(CheckpointReader::Open(path).status(), absl::OkStatus());
  EXPECT_TRUE(fs::exists(path + ".damaged"));
}

TEST_F(CheckpointTest, CommitRemovesShardsOfAnEarlierTry) {
  ASSERT_TRUE(WriteShard({directory_, 1, 1}, 2, 3, TensorsOf(1)).ok());
  const std::string path = *Write(1);
  EXPECT_THAT(FilesOf(path), SizeIs(3));
}

TEST_F(CheckpointTest, PruneKeepsTheNewest) {
  for (int64_t step : {1, 2, 3, 4}) ASSERT_TRUE(Write(step).ok());
  ASSERT_TRUE(WriteShard({directory_, 3, 7}, 0, 2, TensorsOf(0)).ok());
  ASSERT_TRUE(WriteShard({directory_, 5, 7}, 0, 2, TensorsOf(0)).ok());
  ASSERT_EQ(PruneCheckpoints(directory_, 2), absl::OkStatus());
  const auto entries = ListCheckpoints(directory_);
  ASSERT_EQ(entries.status(), absl::OkStatus());
  ASSERT_THAT(*entries, SizeIs(2));
  EXPECT_EQ((*entries)[0].step, 4);
  EXPECT_EQ((*entries)[1].step, 3);
  EXPECT_FALSE(fs::exists(directory_ + "/step-00000003.tmp-7"));
  EXPECT_TRUE(fs::exists(directory_ + "/step-00000005.tmp-7"));
  EXPECT_EQ(PruneCheckpoints(directory_, 0).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(CheckpointTest, DigestSeesNamesShapesAndValues) {
  const std::string digest = *DigestOf({{"w", Weights()}});
  EXPECT_EQ(*DigestOf({{"w", Weights()}}), digest);
  EXPECT_NE(*DigestOf({{"v", Weights()}}), digest);
  EXPECT_NE(*DigestOf({{"w", Weights().Reshape({3, 4})}}), digest);
  weights_[11] = 0;
  EXPECT_NE(*DigestOf({{"w", Weights()}}), digest);
}

TEST_F(CheckpointTest, CannotWriteIsAnErrorThatNamesThePath) {
  WriteFile(directory_, "a file where the directory should be");
  const auto path = Write(1);
  EXPECT_THAT(std::string(path.status().message()), HasSubstr(directory_));
}

}  // namespace
}  // namespace longspan::worker
