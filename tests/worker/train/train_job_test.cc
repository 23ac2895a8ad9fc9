#include "worker/train/train_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/model_spec/communication_plan.h"
#include "tests/support/job/recording_reporter.h"
#include "tests/support/job/test_rank.h"
#include "tests/support/thread_world.h"
#include "tests/support/transfer_lines.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/collective/thread_group.h"

namespace longspan::worker {
namespace {

using longspan::testing::Counted;
using longspan::testing::Planned;
using longspan::testing::RecordingReporter;
using longspan::testing::RunThreadWorld;
using longspan::testing::TestRank;
using longspan::testing::TinyModel;
using longspan::testing::TinyText;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

// What one attempt did, seen from rank 0, and where every rank ended.
struct AttemptResult {
  absl::Status status;
  TrainOutcome outcome;
  int64_t resumed_step = 0;
  RecordingReporter reporter;
  std::map<int, int64_t> last_steps;
  std::map<int, TransferCounters> counters;
};

// The groups of every rank's replica, by rank of the gang; null where a replica
// is one rank.
std::vector<std::unique_ptr<ProcessGroup>> ReplicaGroups(int ranks,
                                                         int replicas) {
  std::vector<std::unique_ptr<ProcessGroup>> groups;
  if (ranks == replicas) {
    groups.resize(ranks);
    return groups;
  }
  for (int replica = 0; replica < replicas; ++replica) {
    for (auto& group : CreateThreadGroups(ranks / replicas)) {
      groups.push_back(std::move(group));
    }
  }
  return groups;
}

// A clock of which each reading is `tick` later than the one before.
class TickingClock final : public Clock {
 public:
  explicit TickingClock(absl::Duration tick) : tick_(tick) {}
  absl::Time Now() const override { return absl::UnixEpoch() + Monotonic(); }
  absl::Duration Monotonic() const override { return tick_ * ++readings_; }

 private:
  const absl::Duration tick_;
  mutable std::atomic<int64_t> readings_ = 0;
};

class TrainJobTest : public ::testing::Test {
 protected:
  TrainJobTest()
      : directory_(::testing::TempDir() + "/train_job_" +
                   std::to_string(::getpid())),
        text_(TokenSource::FromText(TinyText(600), "train")),
        validation_(TokenSource::FromText(TinyText(700).substr(600), "held")) {
    std::filesystem::remove_all(directory_);
  }
  ~TrainJobTest() override { std::filesystem::remove_all(directory_); }

  TrainOptions Options(int64_t steps) const {
    return {.sequence_length = 23,
            .batch_size = 2,
            .length = {.steps = steps},
            .optimizer = {.clip_norm = 1.0},
            .schedule = {.peak = 1e-2, .warmup_steps = 2},
            .report_interval = 1,
            .seed = 5,
            .checkpoint = {.directory = directory_,
                           .job = "tenants/default/jobs/j",
                           .seed = 5,
                           .build = "test",
                           .model = "{\"tiny\":1}"}};
  }

  // One attempt of the gang. `on_report` sees rank 0's progress.
  AttemptResult Train(
      const TrainOptions& options, int ranks,
      std::function<void(const JobProgress&, StopRequest&)> on_report = {},
      std::vector<const Clock*> clocks = {}, int replicas = 1) {
    AttemptResult result;
    const auto groups = ReplicaGroups(ranks, replicas);
    StopRequest stop;
    if (on_report) {
      result.reporter.on_progress = [&](const JobProgress& progress) {
        on_report(progress, stop);
      };
    }
    Mutex mu;
    result.status = RunThreadWorld(ranks, [&](ProcessGroup& gang) {
      const int r = gang.rank();
      const TestRank rank(groups[r].get());
      RankContext context = rank.context();
      context.method = method_;
      context.softmax_method = softmax_method_;
      if (replicas > 1) context.replicas = &gang;
      RecordingReporter other;
      const TrainEnvironment env = {
          .model = TinyModel("LN", LinearMixer::kSimpleGla),
          .context = context,
          .text = text_.get(),
          .validation = validation_.get(),
          .stop = &stop,
          .reporter = r == 0 ? &result.reporter : &other,
          .clock = clocks.empty() ? &SystemClock::Get() : clocks[r]};
      ASSIGN_OR_RETURN(const auto job, TrainJob::Create(options, env));
      if (r == 0) result.resumed_step = job->step();
      absl::StatusOr<TrainOutcome> outcome = job->Run();
      if (!outcome.ok() && context.group != nullptr) {
        context.group->Abort(outcome.status());
      }
      MutexLock lock(mu);
      result.last_steps[r] = job->step();
      result.counters[r] = context.counters();
      if (r == 0 && outcome.ok()) result.outcome = *outcome;
      return outcome.status();
    });
    return result;
  }

  static void StopAt(int64_t step, const JobProgress& progress,
                     StopRequest& stop) {
    if (progress.done >= step) stop.Request("test");
  }

  const std::string directory_;
  const std::unique_ptr<TokenSource> text_;
  std::unique_ptr<TokenSource> validation_;
  SequenceParallel method_ = SequenceParallel::kLasp2;
  SoftmaxParallel softmax_method_ = SoftmaxParallel::kGather;
};

TEST_F(TrainJobTest, LearnsAndReports) {
  AttemptResult run = Train(Options(40), 1);
  ASSERT_TRUE(run.status.ok()) << run.status;
  ASSERT_EQ(run.reporter.progress.size(), 41u);  // and the end
  const double first = run.reporter.progress.front().loss;
  EXPECT_GT(first, 5.0);  // ln 256 = 5.5
  EXPECT_LT(run.outcome.position.loss, first - 1.5);
  EXPECT_LT(run.outcome.validation_loss, first - 1.5);
  EXPECT_EQ(run.outcome.position.step, 40);
  EXPECT_EQ(run.outcome.position.tokens, 40 * 46);
  EXPECT_EQ(run.reporter.Total(MetricId::kSteps), 40.0);
  EXPECT_DOUBLE_EQ(run.reporter.progress.back().fraction, 1.0);
  EXPECT_DOUBLE_EQ(run.reporter.progress[0].learning_rate, 0.5e-2);
  EXPECT_EQ(run.outcome.checkpoint.parameter_digest.size(), 64u);
}

TEST_F(TrainJobTest, RanksGiveTheSameLosses) {
  std::vector<AttemptResult> runs;
  for (SoftmaxParallel method :
       {SoftmaxParallel::kGather, SoftmaxParallel::kRing,
        SoftmaxParallel::kUlysses}) {
    softmax_method_ = method;
    for (int ranks : {1, 2, 3}) {
      if (method == SoftmaxParallel::kUlysses && ranks == 3) continue;  // heads
      runs.push_back(Train(Options(6), ranks));
      ASSERT_TRUE(runs.back().status.ok()) << runs.back().status;
      std::filesystem::remove_all(directory_);
    }
  }
  for (const AttemptResult& run : runs) {
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_NEAR(run.reporter.progress[i].loss,
                  runs[0].reporter.progress[i].loss, 1e-9);
    }
    EXPECT_NEAR(run.outcome.validation_loss, runs[0].outcome.validation_loss,
                1e-9);
  }
}

TEST_F(TrainJobTest, LayoutsGiveTheSameLosses) {
  const AttemptResult one = Train(Options(6), 1);
  ASSERT_TRUE(one.status.ok()) << one.status;
  TrainOptions options = Options(6);
  options.layout = TokenLayout::kZigzag;
  for (int ranks : {1, 2, 3, 4}) {
    SCOPED_TRACE(ranks);
    std::filesystem::remove_all(directory_);
    const AttemptResult run = Train(options, ranks);
    ASSERT_TRUE(run.status.ok()) << run.status;
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_NEAR(run.reporter.progress[i].loss, one.reporter.progress[i].loss,
                  1e-9);
    }
    EXPECT_NEAR(run.outcome.validation_loss, one.outcome.validation_loss, 1e-9);
  }
}

// A checkpoint knows no layout: a run goes on from the other's.
TEST_F(TrainJobTest, GoesOnInTheOtherLayout) {
  TrainOptions options = Options(6);
  const AttemptResult whole = Train(options, 2);
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  std::filesystem::remove_all(directory_);
  options.layout = TokenLayout::kZigzag;
  const AttemptResult stopped =
      Train(options, 2, [](const JobProgress& progress, StopRequest& stop) {
        StopAt(3, progress, stop);
      });
  EXPECT_TRUE(absl::IsCancelled(stopped.status)) << stopped.status;
  options.layout = TokenLayout::kContiguous;
  const AttemptResult rest = Train(options, 2);
  ASSERT_TRUE(rest.status.ok()) << rest.status;
  EXPECT_GE(rest.resumed_step, 3);
  EXPECT_NEAR(rest.outcome.position.loss, whole.outcome.position.loss, 1e-9);
}

// The same sequences, however they are shared between replicas and ranks.
TEST_F(TrainJobTest, ReplicasGiveTheSameLosses) {
  TrainOptions options = Options(6);
  options.batch_size = 6;
  const AttemptResult whole = Train(options, 1);
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  struct Case {
    int ranks;
    int replicas;
    SequenceParallel method = SequenceParallel::kLasp2;
    SoftmaxParallel softmax_method = SoftmaxParallel::kGather;
  };
  for (const Case& c : std::vector<Case>{
           {2, 2},
           {3, 3},
           {4, 2},
           {4, 2, SequenceParallel::kUlysses},
           {4, 2, SequenceParallel::kScan, SoftmaxParallel::kRing},
           {4, 2, SequenceParallel::kLasp1, SoftmaxParallel::kUlysses},
           {4, 2, SequenceParallel::kMegatronSp, SoftmaxParallel::kMegatronSp},
           {6, 2},
           {6, 3}}) {
    const auto [ranks, replicas, method, softmax_method] = c;
    SCOPED_TRACE(absl::StrCat(ranks, " ranks, ", replicas, " replicas"));
    std::filesystem::remove_all(directory_);
    method_ = method;
    softmax_method_ = softmax_method;
    const AttemptResult run = Train(options, ranks, {}, {}, replicas);
    ASSERT_TRUE(run.status.ok()) << run.status;
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_NEAR(run.reporter.progress[i].loss,
                  whole.reporter.progress[i].loss, 1e-10);
      EXPECT_NEAR(run.reporter.progress[i].gradient_norm,
                  whole.reporter.progress[i].gradient_norm, 1e-10);
    }
    EXPECT_NEAR(run.outcome.validation_loss, whole.outcome.validation_loss,
                1e-10);
    EXPECT_EQ(run.outcome.position.tokens, whole.outcome.position.tokens);
  }
}

// Between replicas gradients travel, and inside one all the rest.
TEST_F(TrainJobTest, ReplicasSendWhatThePlanSays) {
  TrainOptions options = Options(1);
  options.batch_size = 4;
  validation_.reset();  // its transfers are not a step's
  const ModelSpec model = TinyModel("LN", LinearMixer::kSimpleGla);
  for (SequenceParallel method :
       {SequenceParallel::kLasp2, SequenceParallel::kUlysses}) {
    SCOPED_TRACE(std::string(SequenceParallelName(method)));
    std::filesystem::remove_all(directory_);
    method_ = method;
    const AttemptResult run = Train(options, 4, {}, {}, 2);
    ASSERT_TRUE(run.status.ok()) << run.status;
    CommunicationShape shape = {.batch = 2,
                                .ranges = SplitTokens(23, 2).value(),
                                .element_bytes = 8,
                                .method = method,
                                .replicas = 2};
    for (int rank = 0; rank < 4; ++rank) {
      SCOPED_TRACE(rank);
      shape.replica = rank / 2;
      TransferCounters counters = run.counters.at(rank);
      counters.erase({.traffic = Traffic::kControl});
      EXPECT_THAT(Counted(counters),
                  UnorderedElementsAreArray(
                      Planned(PlanCommunication(model, shape, rank % 2))));
    }
  }
}

TEST_F(TrainJobTest, AResumedRunOfReplicasEndsWithTheSameBits) {
  TrainOptions options = Options(8);
  options.checkpoint_interval = 4;
  const AttemptResult whole = Train(options, 4, {}, {}, 2);
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  std::filesystem::remove_all(whole.outcome.checkpoint.path);
  const AttemptResult again = Train(options, 4, {}, {}, 2);
  ASSERT_TRUE(again.status.ok()) << again.status;
  EXPECT_EQ(again.resumed_step, 4);
  EXPECT_EQ(again.outcome.checkpoint.parameter_digest,
            whole.outcome.checkpoint.parameter_digest);
}

TEST_F(TrainJobTest, ReplicasHaveAsManySequencesEach) {
  TrainOptions options = Options(1);
  options.batch_size = 3;
  EXPECT_THAT(std::string(Train(options, 2, {}, {}, 2).status.message()),
              HasSubstr("3 sequences over 2 replicas"));
}

class TrainResumeTest : public TrainJobTest,
                        public ::testing::WithParamInterface<int> {};

TEST_P(TrainResumeTest, AResumedRunEndsWithTheBitsOfAnUndisturbedOne) {
  const int ranks = GetParam();
  const AttemptResult whole = Train(Options(10), ranks);
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  std::filesystem::remove_all(directory_);

  const AttemptResult first = Train(
      Options(10), ranks,
      [](const JobProgress& p, StopRequest& stop) { StopAt(5, p, stop); });
  EXPECT_EQ(first.status.code(), absl::StatusCode::kCancelled);
  const AttemptResult second = Train(Options(10), ranks);
  ASSERT_TRUE(second.status.ok()) << second.status;
  EXPECT_GE(second.resumed_step, 5);
  EXPECT_LT(second.resumed_step, 10);
  EXPECT_EQ(second.outcome.checkpoint.parameter_digest,
            whole.outcome.checkpoint.parameter_digest);
  EXPECT_EQ(second.outcome.position.tokens, whole.outcome.position.tokens);
  EXPECT_EQ(second.outcome.validation_loss, whole.outcome.validation_loss);
}

INSTANTIATE_TEST_SUITE_P(Ranks, TrainResumeTest, ::testing::Values(1, 2));

// Flips a byte in the middle of a shard of the newest checkpoint.
void DamageNewest(const std::string& directory) {
  const std::string path = ListCheckpoints(directory).value()[0].path;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() != ".safetensors") continue;
    std::fstream file(entry.path(),
                      std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<int64_t>(entry.file_size() / 2);
    file.seekg(middle);
    const int byte = file.get();
    file.seekp(middle);
    file.put(static_cast<char>(byte ^ 0x40));
    return;
  }
  FAIL() << "no shard in " << path;
}

TEST_F(TrainJobTest, ADamagedNewestCheckpointGivesWayToTheOneBefore) {
  TrainOptions options = Options(12);
  options.checkpoint_interval = 4;
  const AttemptResult whole = Train(options, 2);
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  DamageNewest(directory_);
  const AttemptResult again = Train(options, 2);
  ASSERT_TRUE(again.status.ok()) << again.status;
  EXPECT_EQ(again.resumed_step, 8);
  EXPECT_EQ(again.outcome.checkpoint.parameter_digest,
            whole.outcome.checkpoint.parameter_digest);
  ASSERT_FALSE(again.reporter.log.empty());
  EXPECT_THAT(again.reporter.log[0], HasSubstr("step-00000012"));
  // The damaged one was replaced.
  const AttemptResult third = Train(options, 2);
  ASSERT_TRUE(third.status.ok()) << third.status;
  EXPECT_EQ(third.resumed_step, 12);
}

TEST_F(TrainJobTest, KeepsTheLastCheckpointsAndGoesOnFromAFinishedRun) {
  TrainOptions options = Options(8);
  options.checkpoint_interval = 2;
  options.checkpoint.keep_last = 2;
  const AttemptResult run = Train(options, 2);
  ASSERT_TRUE(run.status.ok()) << run.status;
  const auto kept = ListCheckpoints(directory_).value();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].step, 8);
  EXPECT_EQ(kept[1].step, 6);
  const AttemptResult again = Train(options, 2);
  ASSERT_TRUE(again.status.ok()) << again.status;
  EXPECT_EQ(again.resumed_step, 8);
  EXPECT_EQ(again.outcome.checkpoint.parameter_digest,
            run.outcome.checkpoint.parameter_digest);
  EXPECT_EQ(again.outcome.position.loss, run.outcome.position.loss);
}

TEST_F(TrainJobTest, ARunBoundedByTimeEndsAtTheSameStepOnAllRanks) {
  TrainOptions options = Options(0);
  options.length = {.max_duration = absl::Seconds(2)};
  // Every rank's clock runs at another speed; rank 0's counts.
  const TickingClock a(absl::Milliseconds(20));
  const TickingClock b(absl::Milliseconds(3));
  const TickingClock c(absl::Milliseconds(500));
  const AttemptResult run = Train(options, 3, {}, {&a, &b, &c});
  ASSERT_TRUE(run.status.ok()) << run.status;
  EXPECT_GT(run.outcome.position.step, 5);
  EXPECT_LE(run.outcome.position.seconds, 2.0);
  ASSERT_EQ(run.last_steps.size(), 3u);
  EXPECT_EQ(run.last_steps.at(1), run.last_steps.at(0));
  EXPECT_EQ(run.last_steps.at(2), run.last_steps.at(0));
  // The rate has decayed with the time.
  const JobProgress& last = run.reporter.progress.back();
  EXPECT_LT(last.learning_rate, 0.25e-2);
}

TEST_F(TrainJobTest, ValidatesAtItsInterval) {
  TrainOptions options = Options(6);
  options.validation_interval = 2;
  const AttemptResult run = Train(options, 1);
  ASSERT_TRUE(run.status.ok()) << run.status;
  int validations = 0;
  for (const MetricSample& sample : run.reporter.metrics) {
    validations += sample.metric == MetricId::kValidationLoss;
  }
  EXPECT_EQ(validations, 3);
  EXPECT_EQ(run.reporter.progress[1].validation_loss, 0.0);
  EXPECT_GT(run.reporter.progress[2].validation_loss, 1.0);
}

TEST_F(TrainJobTest, AnotherJobsCheckpointsAreRefused) {
  ASSERT_TRUE(Train(Options(2), 1).status.ok());
  TrainOptions options = Options(4);
  options.checkpoint.seed = 6;
  EXPECT_THAT(std::string(Train(options, 1).status.message()),
              HasSubstr("of seed 5, the job has seed 6"));
  options = Options(4);
  options.checkpoint.model = "{}";
  EXPECT_THAT(std::string(Train(options, 1).status.message()),
              HasSubstr("another model"));
  EXPECT_THAT(std::string(Train(Options(4), 2).status.message()),
              HasSubstr("of 1 ranks, the job has 2"));
}

TEST_F(TrainJobTest, StartsFromAnotherModel) {
  const AttemptResult first = Train(Options(20), 1);
  ASSERT_TRUE(first.status.ok()) << first.status;
  TrainOptions options = Options(1);
  options.initial_model = first.outcome.checkpoint.path;
  options.checkpoint.directory = directory_ + "/second";
  const AttemptResult second = Train(options, 2);
  ASSERT_TRUE(second.status.ok()) << second.status;
  EXPECT_EQ(second.resumed_step, 0);
  EXPECT_LT(second.reporter.progress[0].loss,
            first.reporter.progress[0].loss - 0.5);
}

TEST_F(TrainJobTest, RefusesARunWithoutEndAndATextThatIsTooShort) {
  EXPECT_THAT(std::string(Train(Options(0), 1).status.message()),
              HasSubstr("neither steps nor max_duration"));
  TrainOptions options = Options(1);
  options.sequence_length = 600;
  EXPECT_EQ(Train(options, 1).status.code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace longspan::worker
