// A value over steps, kept in bounded memory however long the job runs.
//
// Each point stands for a run of neighbouring reports: their mean, least and
// most, so no spike is lost. When there are too many points each merges with
// its neighbour. The newest reports form a point too.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace longspan::coordinator {

class ThinnedCurve {
 public:
  struct Point {
    int64_t step = 0;  // of its newest report
    int32_t reports = 0;
    // NaN and infinities stay: the mean is not finite if a report was not.
    float mean = 0;
    float least = 0;
    float most = 0;

    friend bool operator==(const Point&, const Point&) = default;
  };

  // `capacity` is even, and at least 4.
  explicit ThinnedCurve(size_t capacity = 256) : capacity_(capacity) {}

  // A step below the last one begins anew there: what came since was undone by
  // a restart from a checkpoint, and is forgotten. A repeated one is ignored.
  void Add(int64_t step, double value);

  // In the order of steps; at most `capacity`.
  const std::vector<Point>& points() const { return points_; }

 private:
  void Thin();

  size_t capacity_;
  int32_t reports_per_point_ = 1;
  std::vector<Point> points_;
};

}  // namespace longspan::coordinator
