#include "common/metrics/metric_catalog.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::EndsWith;
using ::testing::Not;
using ::testing::StartsWith;

TEST(MetricCatalogTest, EntriesAreInTheOrderOfTheirIds) {
  for (size_t i = 0; i < MetricCatalog().size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(MetricCatalog()[i].id), i);
  }
  EXPECT_EQ(static_cast<size_t>(MetricId::kBuildInfo) + 1,
            MetricCatalog().size());
}

TEST(MetricCatalogTest, NamesAreUniqueAndFound) {
  std::set<std::string_view> names;
  for (const MetricDefinition& metric : MetricCatalog()) {
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
    EXPECT_EQ(FindMetric(metric.name), metric.id);
    EXPECT_THAT(std::string(metric.name), StartsWith("longspan_"));
  }
  EXPECT_EQ(FindMetric("longspan_nothing"), std::nullopt);
}

TEST(MetricCatalogTest, NamesFollowTheConventions) {
  for (const MetricDefinition& metric : MetricCatalog()) {
    const std::string name(metric.name);
    if (metric.type == MetricType::kCounter) {
      EXPECT_THAT(name, EndsWith("_total"));
    } else {
      EXPECT_THAT(name, Not(EndsWith("_total")));
    }
    EXPECT_EQ(metric.type == MetricType::kHistogram, !metric.buckets.empty())
        << name;
    EXPECT_TRUE(std::is_sorted(metric.buckets.begin(), metric.buckets.end()))
        << name;
    EXPECT_FALSE(metric.help.empty()) << name;
  }
}

TEST(MetricCatalogTest, FirstTokenBucketsReachTenMinutes) {
  EXPECT_EQ(DefinitionOf(MetricId::kTimeToFirstToken).buckets.back(), 600);
}

TEST(MetricCatalogTest, DocumentIsUpToDate) {
  std::ifstream file(std::string(std::getenv("LONGSPAN_SOURCE_DIR")) +
                     "/docs/metrics.md");
  std::stringstream content;
  content << file.rdbuf();
  EXPECT_EQ(content.str(), MetricsMarkdown())
      << "run build/dev/bin/longspan-metrics-doc > docs/metrics.md";
}

}  // namespace
}  // namespace longspan
