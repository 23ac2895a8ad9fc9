#include "worker/executor/metric_buffer.h"

#include <gtest/gtest.h>

namespace longspan::worker {
namespace {

double ValueOf(const std::vector<MetricSample>& samples, MetricId metric) {
  for (const MetricSample& sample : samples) {
    if (sample.metric == metric) return sample.value;
  }
  return -1.0;
}

TEST(MetricBufferTest, KeepsTheNewestGaugeAndAddsCounters) {
  MetricBuffer buffer;
  for (int i = 1; i <= 3; ++i) {
    buffer.Add({.metric = MetricId::kTrainingLoss, .value = 1.0 * i});
    buffer.Add({.metric = MetricId::kSteps, .value = 1.0 * i});
  }
  const std::vector<MetricSample> samples = buffer.Take();
  EXPECT_EQ(samples.size(), 2u);
  EXPECT_EQ(ValueOf(samples, MetricId::kTrainingLoss), 3.0);
  EXPECT_EQ(ValueOf(samples, MetricId::kSteps), 6.0);
  EXPECT_TRUE(buffer.empty());
}

TEST(MetricBufferTest, LabelsKeepSeriesApart) {
  MetricBuffer buffer;
  for (const char* kind : {"train", "validate", "train"}) {
    buffer.Add({.metric = MetricId::kTokensProcessed,
                .value = 2.0,
                .labels = {{"kind", kind}}});
  }
  EXPECT_EQ(buffer.Take().size(), 2u);
}

TEST(MetricBufferTest, KeepsObservationsUpToItsBound) {
  MetricBuffer buffer(2);
  for (int i = 0; i < 5; ++i) {
    buffer.Add({.metric = MetricId::kStepDuration, .value = 1.0 * i});
  }
  EXPECT_EQ(buffer.Take().size(), 2u);
}

TEST(MetricBufferTest, ReturnedSamplesAreNotLostAndOlderGaugesGiveWay) {
  MetricBuffer buffer;
  buffer.Add({.metric = MetricId::kTrainingLoss, .value = 1.0});
  buffer.Add({.metric = MetricId::kSteps, .value = 10.0});
  std::vector<MetricSample> refused = buffer.Take();
  buffer.Add({.metric = MetricId::kTrainingLoss, .value = 2.0});
  buffer.Add({.metric = MetricId::kSteps, .value = 1.0});
  buffer.Return(refused);
  const std::vector<MetricSample> samples = buffer.Take();
  EXPECT_EQ(ValueOf(samples, MetricId::kTrainingLoss), 2.0);
  EXPECT_EQ(ValueOf(samples, MetricId::kSteps), 11.0);
}

}  // namespace
}  // namespace longspan::worker
