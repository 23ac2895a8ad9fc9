#include "coordinator/status_page/thinned_curve.h"

#include <algorithm>

namespace longspan::coordinator {
namespace {

using Point = ThinnedCurve::Point;

Point Merge(const Point& a, const Point& b) {
  const int32_t reports = a.reports + b.reports;
  const float weight =
      static_cast<float>(b.reports) / static_cast<float>(reports);
  return {b.step, reports, a.mean + (b.mean - a.mean) * weight,
          std::min(a.least, b.least), std::max(a.most, b.most)};
}

}  // namespace

void ThinnedCurve::Add(int64_t step, double value) {
  if (!points_.empty() && points_.back().step == step) return;
  while (!points_.empty() && points_.back().step >= step) points_.pop_back();
  const float narrow = static_cast<float>(value);
  const Point report = {step, 1, narrow, narrow, narrow};
  if (!points_.empty() && points_.back().reports < reports_per_point_) {
    points_.back() = Merge(points_.back(), report);
    return;
  }
  if (points_.size() == capacity_) Thin();
  points_.push_back(report);
}

void ThinnedCurve::Thin() {
  for (size_t i = 0; i + 1 < points_.size(); i += 2) {
    points_[i / 2] = Merge(points_[i], points_[i + 1]);
  }
  points_.resize(points_.size() / 2);
  reports_per_point_ *= 2;
}

}  // namespace longspan::coordinator
