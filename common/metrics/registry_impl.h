// What MetricRegistry is made of; only this directory includes it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/mutex.h"
#include "common/metrics/metric_registry.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace longspan {
namespace metrics_internal {

template <typename Metric>
struct Target {
  prometheus::Family<Metric>* family = nullptr;
  Metric* metric = nullptr;
};

// One series, which handles share. Once removed it ignores every call, so
// that a late report of a finished job does not bring its series back.
class Series {
 public:
  template <typename Metric>
  explicit Series(Target<Metric> target) : target_(target) {}

  void Remove();               // at most once
  void Add(double value);      // counters and gauges
  void Set(double value);      // gauges
  void Observe(double value);  // histograms

 private:
  Mutex mu_;
  std::variant<Target<prometheus::Counter>, Target<prometheus::Gauge>,
               Target<prometheus::Histogram>>
      target_ GUARDED_BY(mu_);
  bool removed_ GUARDED_BY(mu_) = false;
};

}  // namespace metrics_internal

struct MetricRegistry::Impl {
  using Key = std::pair<MetricId, std::vector<std::string>>;

  // Shared with the servers that expose it.
  const std::shared_ptr<prometheus::Registry> registry =
      std::make_shared<prometheus::Registry>(
          prometheus::Registry::InsertBehavior::Merge);
  Mutex mu;
  std::map<Key, std::shared_ptr<metrics_internal::Series>> series
      GUARDED_BY(mu);
};

}  // namespace longspan
