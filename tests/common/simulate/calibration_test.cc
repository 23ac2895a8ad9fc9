#include "common/simulate/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/simulate/model_preset.h"

namespace longspan {
namespace {

using testing::HasSubstr;

constexpr CollectiveAlgorithm kDirect = CollectiveAlgorithm::kDirect;

ModelSpec Model() { return ModelPreset("linear-llama3-1b").value(); }

// What a machine of that compute would measure.
MeasuredPoint Point(const ComputeModel& compute, ExchangeMethod method,
                    int64_t tokens, double latency) {
  SimulationShape shape;
  shape.tokens = tokens;
  shape.ranks = 4;
  const Network network = {{{"n", 0, latency, 1e9}}, kDirect};
  const double seconds =
      Simulate(Model(), shape, network, compute, method)->total_s;
  return {method, 4, tokens, latency, 1e9, seconds};
}

std::string ErrorOf(const std::vector<MeasuredPoint>& points) {
  return std::string(Calibrate(Model(), SimulationShape(), kDirect, points)
                         .status()
                         .message());
}

TEST(CalibrationTest, TwoPointsGiveTheComputeThatMadeThem) {
  const ComputeModel truth = {3e13, 0.25};
  const std::vector<MeasuredPoint> points = {
      Point(truth, ExchangeMethod::kLasp1, 4096, 1e-2),
      Point(truth, ExchangeMethod::kLasp2, 8192, 1e-3),
      Point(truth, ExchangeMethod::kLasp2, 65536, 1e-3),
      Point(truth, ExchangeMethod::kLasp2, 16384, 1e-1),
      Point(truth, ExchangeMethod::kAllScan, 65536, 1e-1)};
  const Calibration calibration =
      Calibrate(Model(), SimulationShape(), kDirect, points).value();
  EXPECT_NEAR(calibration.compute.flops_per_s / truth.flops_per_s, 1, 1e-6);
  EXPECT_NEAR(calibration.compute.fixed_s, truth.fixed_s, 1e-6);
  ASSERT_EQ(calibration.points.size(), 5u);
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(calibration.points[i].calibrates, i == 1 || i == 2);
    EXPECT_NEAR(calibration.points[i].error(), 0, 1e-6);
  }
}

TEST(CalibrationTest, TheWorstIsOfThePointsThatDoNotCalibrate) {
  const ComputeModel truth = {3e13, 0.25};
  std::vector<MeasuredPoint> points = {
      Point(truth, ExchangeMethod::kLasp2, 8192, 1e-3),
      Point(truth, ExchangeMethod::kLasp2, 65536, 1e-3),
      Point(truth, ExchangeMethod::kLasp1, 8192, 1e-3),
      Point(truth, ExchangeMethod::kScan, 8192, 1e-3)};
  points[2].seconds *= 0.5;
  points[3].seconds *= 1.25;
  const Calibration calibration =
      Calibrate(Model(), SimulationShape(), kDirect, points).value();
  ASSERT_NE(calibration.Worst(), nullptr);
  EXPECT_EQ(calibration.Worst()->measured.method, ExchangeMethod::kLasp1);
  EXPECT_NEAR(calibration.Worst()->error(), 1.0, 1e-4);
}

// Twice the tokens in three times the time: no fixed part explains it.
TEST(CalibrationTest, TheFixedPartIsNeverNegative) {
  const ComputeModel truth = {3e13, 0};
  std::vector<MeasuredPoint> points = {
      Point(truth, ExchangeMethod::kLasp2, 65536, 1e-3),
      Point(truth, ExchangeMethod::kLasp2, 131072, 1e-3)};
  points[0].seconds = points[1].seconds / 3;
  const Calibration calibration =
      Calibrate(Model(), SimulationShape(), kDirect, points).value();
  EXPECT_EQ(calibration.compute.fixed_s, 0);
  EXPECT_NEAR(calibration.points[1].error(), 0, 1e-6);
  EXPECT_GT(calibration.points[0].error(), 0.1);
  EXPECT_EQ(calibration.Worst(), nullptr);
}

TEST(CalibrationTest, WhatCannotCalibrateIsRefused) {
  const MeasuredPoint a = {ExchangeMethod::kLasp2, 4, 1024, 1e-3, 1e9, 1.0};
  MeasuredPoint b = a;
  b.tokens = 2048;
  EXPECT_THAT(ErrorOf({}), HasSubstr("measure lasp2 at two lengths"));
  EXPECT_THAT(ErrorOf({a}), HasSubstr("none of the 1 points has a pair"));
  EXPECT_THAT(ErrorOf({a, b}), HasSubstr("the longer must be slower"));
  b.seconds = -1;
  EXPECT_THAT(ErrorOf({a, b}), HasSubstr("seconds are positive"));
  b.seconds = 2;
  b.latency_s = 1;
  EXPECT_THAT(ErrorOf({a, b}), HasSubstr("same ranks, latency and bandwidth"));
}

}  // namespace
}  // namespace longspan
