// Generation over NCCL, whose collectives fail late: ranks on the CPU, as
// threads, over the fake NCCL of this build.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "tests/support/job/recording_reporter.h"
#include "tests/support/job/test_rank.h"
#include "tests/support/rendezvous_stores.h"
#include "worker/collective/nccl_group.h"
#include "worker/generate/generate_job.h"

namespace longspan::worker {
namespace {

using longspan::testing::RecordingReporter;
using longspan::testing::TestRank;
using longspan::testing::TinyModel;
using longspan::testing::TinyText;
using ::testing::HasSubstr;

constexpr int kRanks = 2;

class NcclGenerateTest : public ::testing::Test {
 protected:
  NcclGenerateTest() {
    const std::string build = std::getenv("LONGSPAN_BINARY_DIR");
    const std::string fake = build + "/lib/libfake_nccl.so";
    setenv("LONGSPAN_NCCL_LIBRARY", fake.c_str(), 1);
  }

  // Statuses by rank.
  std::vector<absl::Status> Generate(const std::string& faults) {
    setenv("LONGSPAN_FAKE_NCCL", faults.c_str(), 1);
    reporter_ = RecordingReporter();
    longspan::testing::MemoryRendezvousStore store;
    std::vector<absl::Status> statuses(kRanks);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < kRanks; ++rank) {
      threads.emplace_back(
          [&, rank] { statuses[rank] = GenerateAs(rank, store); });
    }
    for (std::thread& thread : threads) thread.join();
    return statuses;
  }

  RecordingReporter reporter_;  // rank 0's
  int64_t prefill_operations_ = 0;

 private:
  absl::Status GenerateAs(int rank, RendezvousStore& store) {
    const TestRank made(nullptr, kernels::DType::kF32);
    RankContext context = made.context();
    NcclGroupOptions options = {.rank = rank, .size = kRanks};
    options.key_prefix = "job/1/1";
    options.backend = context.backend;
    options.collective_timeout = absl::Seconds(20);
    ASSIGN_OR_RETURN(const auto group, CreateNcclGroup(options, store));
    context.group = group.get();
    const ModelSpec spec = TinyModel("L", LinearMixer::kSimpleGla);
    ASSIGN_OR_RETURN(const auto parameters,
                     Parameters::Create(context, spec, false));
    RETURN_IF_ERROR(parameters->Initialize(11));
    Model model(spec, *parameters);
    RecordingReporter other;
    if (rank == 0) {
      reporter_.on_progress = [&](const JobProgress&) {
        prefill_operations_ = Launches(*group);
      };
    }
    const StopRequest stop;
    const auto prompt = TokenSource::FromText(TinyText(97), "prompt");
    return RunGenerate({.max_new_tokens = 5, .sampling = {.temperature = 0.0}},
                       {.model = &model,
                        .context = context,
                        .prompt = prompt.get(),
                        .stop = &stop,
                        .reporter = rank == 0 ? &reporter_ : &other,
                        .clock = &SystemClock::Get()})
        .status();
  }

  static int64_t Launches(const ProcessGroup& group) {
    int64_t launches = 0;
    for (const auto& [tag, counts] : group.counters()) {
      launches += counts.launches;
    }
    return launches;
  }
};

TEST_F(NcclGenerateTest, AStateThatNeverArrivedIsNotDecoded) {
  for (const absl::Status& status : Generate("")) {
    ASSERT_TRUE(status.ok()) << status;
  }
  ASSERT_EQ(reporter_.tokens.size(), 5u);
  const int64_t last = prefill_operations_ - 1;

  const auto statuses = Generate(absl::StrCat("lose@0:", last));
  EXPECT_EQ(reporter_.progress.size(), 1u) << "the loss must go unnoticed";
  EXPECT_EQ(reporter_.tokens.size(), 0u);
  for (const absl::Status& status : statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
  EXPECT_THAT(std::string(statuses[0].message()),
              HasSubstr("NCCL: remote process exited"));
}

}  // namespace
}  // namespace longspan::worker
