#include "common/metrics/metrics_route.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

TEST(MetricsRouteTest, AnswersWithTheRegistryAsItIsNow) {
  MetricRegistry metrics;
  const HttpRoute route = MetricsRoute(metrics);
  EXPECT_EQ(route.path, "/metrics");
  metrics.GetCounter(MetricId::kSteps, {"j1"}).Increment();
  const HttpResponse response = route.handler({});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(response.body, metrics.Text());
  EXPECT_THAT(response.body,
              ::testing::HasSubstr("longspan_steps_total{job_id=\"j1\"} 1"));
}

}  // namespace
}  // namespace longspan
