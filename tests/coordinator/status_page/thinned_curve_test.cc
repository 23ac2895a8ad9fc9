#include "coordinator/status_page/thinned_curve.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace longspan::coordinator {
namespace {

using Point = ThinnedCurve::Point;

TEST(ThinnedCurveTest, KeepsEverythingWhileThereIsRoom) {
  ThinnedCurve curve(4);
  for (int step : {10, 20, 30}) curve.Add(step, step / 10.0);
  EXPECT_EQ(curve.points(),
            (std::vector<Point>{
                {10, 1, 1, 1, 1}, {20, 1, 2, 2, 2}, {30, 1, 3, 3, 3}}));
}

TEST(ThinnedCurveTest, NeighboursMergeIntoMeanLeastAndMost) {
  ThinnedCurve curve(4);
  for (int step = 1; step <= 6; ++step) curve.Add(step, step);
  EXPECT_EQ(curve.points(),
            (std::vector<Point>{
                {2, 2, 1.5, 1, 2}, {4, 2, 3.5, 3, 4}, {6, 2, 5.5, 5, 6}}));
}

TEST(ThinnedCurveTest, IsBoundedAndLosesNoSpikeNorReport) {
  constexpr int kSteps = 100000;
  ThinnedCurve curve(64);
  for (int step = 1; step <= kSteps; ++step) {
    curve.Add(step, step == 777 ? 50.0 : 1.0);
    ASSERT_LE(curve.points().size(), 64u);
  }
  int reports = 0;
  float most = 0;
  for (const Point& point : curve.points()) {
    reports += point.reports;
    most = std::max(most, point.most);
  }
  EXPECT_EQ(reports, kSteps);
  EXPECT_EQ(most, 50.0f);
  EXPECT_EQ(curve.points().back().step, kSteps);
  EXPECT_GE(curve.points().size(), 32u);
}

TEST(ThinnedCurveTest, ARestartForgetsWhatItUndid) {
  ThinnedCurve curve(8);
  for (int step : {10, 20, 30, 40}) curve.Add(step, 1);
  curve.Add(25, 2);
  EXPECT_EQ(curve.points(),
            (std::vector<Point>{
                {10, 1, 1, 1, 1}, {20, 1, 1, 1, 1}, {25, 1, 2, 2, 2}}));
}

TEST(ThinnedCurveTest, ARepeatedStepIsIgnored) {
  ThinnedCurve curve(4);
  curve.Add(1, 1);
  curve.Add(1, 9);
  EXPECT_EQ(curve.points(), (std::vector<Point>{{1, 1, 1, 1, 1}}));
}

TEST(ThinnedCurveTest, ANumberThatIsNotFiniteShows) {
  ThinnedCurve curve(4);
  for (int step = 1; step <= 5; ++step) {
    curve.Add(step, step == 2 ? std::numeric_limits<double>::quiet_NaN() : 1.0);
  }
  EXPECT_TRUE(std::isnan(curve.points()[0].mean));
  EXPECT_EQ(curve.points()[1].mean, 1.0f);
}

}  // namespace
}  // namespace longspan::coordinator
