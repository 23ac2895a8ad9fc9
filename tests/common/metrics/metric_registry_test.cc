#include "common/metrics/metric_registry.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricRegistryTest, CountsSetsAndObserves) {
  MetricRegistry metrics;
  metrics.GetCounter(MetricId::kSteps, {"j1"}).Increment();
  metrics.GetCounter(MetricId::kSteps, {"j1"}).Increment(2);
  metrics.GetGauge(MetricId::kTrainingLoss, {"j1"}).Set(2.5);
  metrics.GetGauge(MetricId::kQueueLength, {"0", "no_capacity"}).Add(3);
  metrics.GetHistogram(MetricId::kStepDuration, {"j1"}).Observe(0.2);
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("longspan_steps_total{job_id=\"j1\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("longspan_training_loss{job_id=\"j1\"} 2.5\n"));
  EXPECT_THAT(text, HasSubstr("longspan_queue_length{priority=\"0\","
                              "reason=\"no_capacity\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("longspan_step_duration_seconds_bucket{"
                              "job_id=\"j1\",le=\"0.1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("longspan_step_duration_seconds_bucket{"
                              "job_id=\"j1\",le=\"0.25\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("longspan_build_info{"));
}

TEST(MetricRegistryTest, RemovesSeriesOfAFinishedJobForGood) {
  MetricRegistry metrics;
  Counter late = metrics.GetCounter(MetricId::kSteps, {"j1"});
  late.Increment();
  Gauge loss = metrics.GetGauge(MetricId::kTrainingLoss, {"j1"});
  loss.Set(1);
  Histogram duration = metrics.GetHistogram(MetricId::kStepDuration, {"j1"});
  duration.Observe(1);
  metrics.GetCounter(MetricId::kSteps, {"j2"}).Increment();
  EXPECT_EQ(metrics.RemoveSeries("job_id", "j1"), 3);
  late.Increment();
  loss.Set(2);
  duration.Observe(2);
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("j1")));
  EXPECT_THAT(metrics.Text(), HasSubstr("job_id=\"j2\""));
  EXPECT_EQ(metrics.RemoveSeries("job_id", "j1"), 0);
  // A new attempt of the job starts a new series.
  metrics.GetCounter(MetricId::kSteps, {"j1"}).Increment();
  EXPECT_THAT(metrics.Text(),
              HasSubstr("longspan_steps_total{job_id=\"j1\"} 1\n"));
}

TEST(MetricRegistryTest, RemovalMatchesLabelAndValue) {
  MetricRegistry metrics;
  metrics.GetGauge(MetricId::kMemoryUsed, {"7", "0"}).Set(1);
  EXPECT_EQ(metrics.RemoveSeries("rank", "7"), 0);
  EXPECT_EQ(metrics.RemoveSeries("rank", "0"), 1);
}

TEST(MetricRegistryTest, HandlesOutliveTheRegistry) {
  auto metrics = std::make_unique<MetricRegistry>();
  Counter steps = metrics->GetCounter(MetricId::kSteps, {"j1"});
  metrics.reset();
  steps.Increment();
  Counter().Increment();
  Gauge().Set(1);
  Histogram().Observe(1);
}

TEST(MetricRegistryTest, RecordsSamplesOfOtherProcesses) {
  MetricRegistry metrics;
  EXPECT_TRUE(metrics.Record("longspan_steps_total", {"j"}, 4).ok());
  EXPECT_TRUE(metrics.Record("longspan_training_loss", {"j"}, 3.5).ok());
  EXPECT_TRUE(metrics.Record("longspan_step_duration_seconds", {"j"}, 1).ok());
  EXPECT_THAT(metrics.Text(),
              HasSubstr("longspan_steps_total{job_id=\"j\"} 4\n"));
  EXPECT_FALSE(metrics.Record("longspan_nothing", {}, 1).ok());
  EXPECT_FALSE(metrics.Record("longspan_steps_total", {}, 1).ok());
  EXPECT_FALSE(metrics.Record("longspan_steps_total", {"j"}, -1).ok());
}

TEST(MetricRegistryDeathTest, MisuseAborts) {
  MetricRegistry metrics;
  EXPECT_DEATH(metrics.GetGauge(MetricId::kSteps, {"j"}), "another type");
  EXPECT_DEATH(metrics.GetCounter(MetricId::kSteps, {}), "steps_total");
  EXPECT_DEATH(metrics.GetCounter(MetricId::kSteps, {"j"}).Increment(-1),
               "check failed");
}

TEST(MetricRegistryTest, ThreadsCountAndRemoveTogether) {
  MetricRegistry metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&metrics] {
      for (int i = 0; i < 200; ++i) {
        metrics.GetCounter(MetricId::kSteps, {"stay"}).Increment();
        metrics.GetCounter(MetricId::kSteps, {"go"}).Increment();
        if (i % 50 == 0) metrics.RemoveSeries("job_id", "go");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(metrics.Text(),
              HasSubstr("longspan_steps_total{job_id=\"stay\"} 800\n"));
}

// One series of each metric.
std::string TextOfWholeCatalog() {
  MetricRegistry metrics;
  for (const MetricDefinition& metric : MetricCatalog()) {
    const std::vector<std::string> values(metric.labels.size(), "x");
    EXPECT_TRUE(metrics.Record(metric.name, values, 1).ok());
  }
  return metrics.Text();
}

TEST(MetricRegistryTest, PromtoolAcceptsEverySeries) {
  const std::string stem =
      ::testing::TempDir() + "/metrics_test." + std::to_string(getpid());
  std::ofstream(stem + ".prom") << TextOfWholeCatalog();
  const int result = std::system(
      ("promtool check metrics < " + stem + ".prom > " + stem + ".out 2>&1")
          .c_str());
  std::ifstream output(stem + ".out");
  const std::string said{std::istreambuf_iterator<char>(output), {}};
  EXPECT_EQ(result, 0) << said;
  EXPECT_EQ(said, "");
  std::remove((stem + ".prom").c_str());
  std::remove((stem + ".out").c_str());
}

}  // namespace
}  // namespace longspan
