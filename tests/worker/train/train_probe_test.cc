#include "worker/train/train_probe.h"

#include <gtest/gtest.h>

#include "tests/support/job/recording_reporter.h"

namespace longspan::worker {
namespace {

using longspan::testing::RecordingReporter;

class ManualClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::UnixEpoch() + now; }
  absl::Duration Monotonic() const override { return now; }
  absl::Duration now;
};

// A group that only counts.
class CountingGroup final : public ProcessGroup {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  std::unique_ptr<Work> AllGather(kernels::ConstTensorView,
                                  absl::Span<const kernels::TensorView>,
                                  TrafficTag, kernels::Stream*) override {
    return nullptr;
  }
  std::unique_ptr<Work> AllToAll(absl::Span<const kernels::ConstTensorView>,
                                 absl::Span<const kernels::TensorView>,
                                 TrafficTag, kernels::Stream*) override {
    return nullptr;
  }
  std::unique_ptr<Work> ReduceScatter(
      absl::Span<const kernels::ConstTensorView>, kernels::TensorView,
      TrafficTag, kernels::Stream*) override {
    return nullptr;
  }
  std::unique_ptr<Work> AllReduce(kernels::TensorView, Reduction, TrafficTag,
                                  kernels::Stream*) override {
    return nullptr;
  }
  std::unique_ptr<Work> SendReceive(kernels::ConstTensorView, int,
                                    kernels::TensorView, int, TrafficTag,
                                    kernels::Stream*) override {
    return nullptr;
  }
  void Abort(absl::Status) override {}
  void SetTimeout(absl::Duration) override {}
  TransferCounters counters() const override { return counts; }

  TransferCounters counts;
};

StepReport Step(int64_t step) {
  return {.step = step,
          .tokens = 100,
          .loss = 2.0,
          .gradient_norm = 0.5,
          .learning_rate = 1e-3,
          .fraction = step / 10.0,
          .total = absl::Milliseconds(100),
          .input_wait = absl::Milliseconds(5),
          .optimizer = absl::Milliseconds(10)};
}

double Sum(const RecordingReporter& reporter, MetricId metric,
           const std::string& label, const std::string& value) {
  double total = 0.0;
  for (const MetricSample& sample : reporter.metrics) {
    const auto found = sample.labels.find(label);
    if (sample.metric == metric && found != sample.labels.end() &&
        found->second == value) {
      total += sample.value;
    }
  }
  return total;
}

TEST(TrainProbeTest, PartsOfAStepAddUpToItsTotal) {
  ManualClock clock;
  CountingGroup group;
  RecordingReporter reporter;
  TrainProbe probe({.total_steps = 10, .report_interval = 2}, clock,
                   {.group = &group}, reporter);
  const TrafficTag tag = {.traffic = Traffic::kStateExchange};
  for (int64_t step = 1; step <= 4; ++step) {
    auto& exposed = group.counts[tag].exposed_time;
    exposed = exposed.value_or(absl::ZeroDuration()) + absl::Milliseconds(20);
    group.counts[tag].bytes_sent += 1000;
    clock.now += absl::Milliseconds(100);
    probe.OnStep(Step(step));
  }
  ASSERT_EQ(reporter.progress.size(), 2u);
  const StepTimes& times = reporter.progress[1].step_times;
  EXPECT_NEAR(times.total, 0.1, 1e-9);
  EXPECT_NEAR(times.exposed_communication, 0.02, 1e-9);
  EXPECT_NEAR(times.input_wait, 0.005, 1e-9);
  EXPECT_NEAR(times.optimizer, 0.01, 1e-9);
  EXPECT_NEAR(times.compute, 0.065, 1e-9);
  EXPECT_NEAR(reporter.progress[1].tokens_per_second, 1000.0, 1e-6);
  EXPECT_EQ(Sum(reporter, MetricId::kCollectiveBytes, "op", "state_exchange"),
            4000.0);
  EXPECT_NEAR(Sum(reporter, MetricId::kStepPhase, "phase", "compute"),
              4 * 0.065, 1e-9);
}

TEST(TrainProbeTest, ExposedTimeIsReportedByOperationAndPass) {
  ManualClock clock;
  CountingGroup group;
  RecordingReporter reporter;
  TrainProbe probe({.report_interval = 1}, clock, {.group = &group}, reporter);
  const TrafficTag forward = {Traffic::kStateExchange, Direction::kForward, 0};
  const TrafficTag backward = {Traffic::kStateExchange, Direction::kBackward,
                               0};
  const TrafficTag other_layer = {Traffic::kStateExchange, Direction::kBackward,
                                  1};
  const TrafficTag sync = {.traffic = Traffic::kGradientSync};
  for (int64_t step = 1; step <= 2; ++step) {
    group.counts[forward].exposed_time = step * absl::Milliseconds(1);
    group.counts[backward].exposed_time = step * absl::Milliseconds(2);
    group.counts[other_layer].exposed_time = step * absl::Milliseconds(4);
    group.counts[sync].exposed_time = step * absl::Milliseconds(8);
    probe.OnStep(Step(step));
  }
  const auto exposed = [&](const char* label, const char* value) {
    return Sum(reporter, MetricId::kCollectiveExposed, label, value);
  };
  EXPECT_NEAR(exposed("op", "state_exchange"), 0.014, 1e-9);
  EXPECT_NEAR(exposed("op", "gradient_sync"), 0.016, 1e-9);
  EXPECT_NEAR(exposed("pass", "forward"), 0.002, 1e-9);
  EXPECT_NEAR(exposed("pass", "backward"), 0.012, 1e-9);
  EXPECT_NEAR(exposed("pass", "none"), 0.016, 1e-9);
  EXPECT_NEAR(reporter.progress[1].step_times.exposed_communication, 0.015,
              1e-9);
}

// A GPU's stream waits where the host does not see it: no number is better than
// a zero.
TEST(TrainProbeTest, WhatADeviceWaitsForIsNotReportedAsZero) {
  ManualClock clock;
  CountingGroup group;
  RecordingReporter reporter;
  TrainProbe probe({.report_interval = 1}, clock, {.group = &group}, reporter);
  group.counts[{.traffic = Traffic::kStateExchange}].bytes_sent = 1000;
  group.counts[{.traffic = Traffic::kControl}].exposed_time =
      absl::Milliseconds(3);
  probe.OnStep(Step(1));
  for (const MetricSample& sample : reporter.metrics) {
    for (const auto& [label, value] : sample.labels) {
      EXPECT_NE(value, "exposed_communication");
    }
    if (sample.metric != MetricId::kCollectiveExposed) continue;
    EXPECT_EQ(sample.labels.at("op"), "other");
    EXPECT_NEAR(sample.value, 0.003, 1e-9);
  }
  const StepTimes& times = reporter.progress[0].step_times;
  EXPECT_EQ(times.exposed_communication, 0.0);
  EXPECT_NEAR(times.compute, 0.085, 1e-9);
}

TEST(TrainProbeTest, TheLeaderLogsALineForEachReport) {
  ManualClock clock;
  RecordingReporter reporter;
  TrainProbe probe({.total_steps = 10, .report_interval = 2}, clock, {},
                   reporter);
  for (int64_t step = 1; step <= 4; ++step) probe.OnStep(Step(step));
  ASSERT_EQ(reporter.log.size(), 2u);
  EXPECT_EQ(reporter.log[1],
            "step 4  loss 2  gradient norm 0.5  learning rate 0.001  "
            "1000 tokens/s");
  ASSERT_EQ(reporter.log_fields[1].size(), 5u);
  EXPECT_EQ(reporter.log_fields[1][0].key, "step");
  EXPECT_EQ(reporter.log_fields[1][0].value, "4");
  EXPECT_EQ(reporter.log_fields[1][1].key, "loss");
  EXPECT_EQ(reporter.log_fields[1][1].value, "2");
  RecordingReporter follower;
  TrainProbe other(
      {.total_steps = 10, .report_interval = 1, .is_leader = false}, clock, {},
      follower);
  other.OnStep(Step(1));
  EXPECT_TRUE(follower.log.empty());
  EXPECT_EQ(follower.step, 1);
}

TEST(TrainProbeTest, EstimatesTheRemainingTimeFromThisAttemptAlone) {
  ManualClock clock;
  RecordingReporter reporter;
  TrainProbe probe({.total_steps = 10, .report_interval = 1}, clock, {},
                   reporter);
  probe.OnResume(4, 400, 0.4);
  for (int64_t step = 5; step <= 6; ++step) {
    clock.now += absl::Seconds(3);
    StepReport report = Step(step);
    probe.OnStep(report);
  }
  // Two of six remaining tenths took six seconds.
  EXPECT_EQ(reporter.progress[1].tokens, 600);
  EXPECT_NEAR(absl::ToDoubleSeconds(reporter.progress[1].remaining), 12.0,
              1e-6);
}

TEST(TrainProbeTest, ACheckpointCountsAsPartOfItsInterval) {
  ManualClock clock;
  RecordingReporter reporter;
  TrainProbe probe({.report_interval = 2}, clock, {}, reporter);
  probe.OnStep(Step(1));
  probe.OnCheckpoint(1, absl::Milliseconds(50));
  probe.OnStep(Step(2));
  ASSERT_EQ(reporter.progress.size(), 1u);
  EXPECT_EQ(reporter.progress[0].checkpoint_step, 1);
  EXPECT_NEAR(reporter.progress[0].step_times.checkpoint, 0.025, 1e-9);
  EXPECT_NEAR(reporter.progress[0].step_times.total, 0.125, 1e-9);
  EXPECT_EQ(reporter.Total(MetricId::kCheckpointDuration), 0.05);
}

TEST(TrainProbeTest, OtherRanksReportOnlyWhatIsTheirs) {
  ManualClock clock;
  RecordingReporter reporter;
  TrainProbe probe({.report_interval = 1, .is_leader = false}, clock, {},
                   reporter);
  probe.OnStep(Step(1));
  probe.OnValidation(2.0, 10);
  probe.OnCheckpoint(1, absl::Seconds(1));
  EXPECT_EQ(reporter.Total(MetricId::kSteps), 0.0);
  EXPECT_EQ(reporter.Total(MetricId::kValidationLoss), 0.0);
  EXPECT_GT(Sum(reporter, MetricId::kStepPhase, "phase", "compute"), 0.0);
}

}  // namespace
}  // namespace longspan::worker
