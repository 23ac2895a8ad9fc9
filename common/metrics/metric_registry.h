// The metrics of one process.
//
//   MetricRegistry metrics;
//   Counter steps = metrics.GetCounter(MetricId::kSteps, {job_id});
//   steps.Increment();
//   ...
//   metrics.RemoveSeries("job_id", job_id);   // when the job has finished
//
// Handles are cheap to copy and safe to keep: after RemoveSeries, or after
// the registry is gone, they do nothing. Label values come in the order of
// the catalog. Asking for a metric of another type, or with another number of
// labels, is a broken invariant.
//
// Thread-safe, handles too.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/metrics/metric_catalog.h"

namespace longspan {

namespace metrics_internal {
class Series;
}

class Counter {
 public:
  Counter() = default;  // counts nothing
  // `by` is not negative.
  void Increment(double by = 1);

 private:
  friend class MetricRegistry;
  explicit Counter(std::shared_ptr<metrics_internal::Series> series);
  std::shared_ptr<metrics_internal::Series> series_;
};

class Gauge {
 public:
  Gauge() = default;
  void Set(double value);
  void Add(double by);

 private:
  friend class MetricRegistry;
  explicit Gauge(std::shared_ptr<metrics_internal::Series> series);
  std::shared_ptr<metrics_internal::Series> series_;
};

class Histogram {
 public:
  Histogram() = default;
  void Observe(double value);

 private:
  friend class MetricRegistry;
  explicit Histogram(std::shared_ptr<metrics_internal::Series> series);
  std::shared_ptr<metrics_internal::Series> series_;
};

class MetricRegistry {
 public:
  using LabelValues = std::vector<std::string>;

  // Sets longspan_build_info.
  MetricRegistry();
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  // The same labels give the same series.
  Counter GetCounter(MetricId id, const LabelValues& values = {});
  Gauge GetGauge(MetricId id, const LabelValues& values = {});
  Histogram GetHistogram(MetricId id, const LabelValues& values = {});

  // For samples that arrive from another process: adds to a counter, sets a
  // gauge, observes in a histogram. InvalidArgument for an unknown name, a
  // wrong number of labels, or a counter that would fall.
  absl::Status Record(std::string_view name, const LabelValues& values,
                      double value);

  // Removes every series whose label has this value; returns how many.
  int RemoveSeries(std::string_view label, std::string_view value);

  // Everything, in the Prometheus text format.
  std::string Text() const;

  // For MetricsRoute. Opaque here, so that this header stays light.
  struct Impl;
  const std::shared_ptr<Impl>& impl() const { return impl_; }

 private:
  std::shared_ptr<metrics_internal::Series> Find(MetricId id, MetricType type,
                                                 const LabelValues& values);

  std::shared_ptr<Impl> impl_;
};

}  // namespace longspan
