#include "common/metrics/metric_registry.h"

#include <map>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/base/version.h"
#include "common/metrics/registry_impl.h"
#include "prometheus/text_serializer.h"

namespace longspan {
namespace metrics_internal {

void Series::Remove() {
  MutexLock lock(mu_);
  std::visit([](auto& target) { target.family->Remove(target.metric); },
             target_);
  target_ = Target<prometheus::Counter>{};
  removed_ = true;
}

void Series::Add(double value) {
  MutexLock lock(mu_);
  if (removed_) return;
  if (auto* counter = std::get_if<Target<prometheus::Counter>>(&target_)) {
    counter->metric->Increment(value);
  } else if (auto* gauge = std::get_if<Target<prometheus::Gauge>>(&target_)) {
    gauge->metric->Increment(value);
  }
}

void Series::Set(double value) {
  MutexLock lock(mu_);
  if (removed_) return;
  std::get<Target<prometheus::Gauge>>(target_).metric->Set(value);
}

void Series::Observe(double value) {
  MutexLock lock(mu_);
  if (removed_) return;
  std::get<Target<prometheus::Histogram>>(target_).metric->Observe(value);
}

}  // namespace metrics_internal

namespace {

using metrics_internal::Series;
using metrics_internal::Target;
using Labels = prometheus::Labels;

template <typename Builder>
auto& MakeFamily(Builder builder, const MetricDefinition& metric,
                 prometheus::Registry& registry) {
  return builder.Name(std::string(metric.name))
      .Help(std::string(metric.help))
      .Register(registry);
}

std::shared_ptr<Series> MakeSeries(const MetricDefinition& metric,
                                   const Labels& labels,
                                   prometheus::Registry& registry) {
  // Registering a known name returns the family that exists.
  switch (metric.type) {
    case MetricType::kCounter: {
      auto& family = MakeFamily(prometheus::BuildCounter(), metric, registry);
      return std::make_shared<Series>(
          Target<prometheus::Counter>{&family, &family.Add(labels)});
    }
    case MetricType::kGauge: {
      auto& family = MakeFamily(prometheus::BuildGauge(), metric, registry);
      return std::make_shared<Series>(
          Target<prometheus::Gauge>{&family, &family.Add(labels)});
    }
    case MetricType::kHistogram: {
      auto& family = MakeFamily(prometheus::BuildHistogram(), metric, registry);
      return std::make_shared<Series>(Target<prometheus::Histogram>{
          &family, &family.Add(labels, metric.buckets)});
    }
  }
  return nullptr;
}

Labels MakeLabels(const MetricDefinition& metric,
                  const std::vector<std::string>& values) {
  Labels labels;
  for (size_t i = 0; i < values.size(); ++i) {
    labels[metric.labels[i]] = values[i];
  }
  return labels;
}

}  // namespace

Counter::Counter(std::shared_ptr<Series> series) : series_(std::move(series)) {}
Gauge::Gauge(std::shared_ptr<Series> series) : series_(std::move(series)) {}
Histogram::Histogram(std::shared_ptr<Series> series)
    : series_(std::move(series)) {}

void Counter::Increment(double by) {
  LONGSPAN_CHECK_GE(by, 0.0);
  if (series_) series_->Add(by);
}
void Gauge::Set(double value) {
  if (series_) series_->Set(value);
}
void Gauge::Add(double by) {
  if (series_) series_->Add(by);
}
void Histogram::Observe(double value) {
  if (series_) series_->Observe(value);
}

MetricRegistry::MetricRegistry() : impl_(std::make_shared<Impl>()) {
  GetGauge(MetricId::kBuildInfo, {Version(), BuildStamp()}).Set(1);
}

MetricRegistry::~MetricRegistry() {
  // Handles may live on; their series must not touch a registry that ends.
  MutexLock lock(impl_->mu);
  for (auto& [key, series] : impl_->series) series->Remove();
  impl_->series.clear();
}

std::shared_ptr<Series> MetricRegistry::Find(MetricId id, MetricType type,
                                             const LabelValues& values) {
  const MetricDefinition& metric = DefinitionOf(id);
  LONGSPAN_CHECK(metric.type == type) << metric.name << " has another type";
  LONGSPAN_CHECK_EQ(metric.labels.size(), values.size()) << metric.name;
  MutexLock lock(impl_->mu);
  std::shared_ptr<Series>& series = impl_->series[{id, values}];
  if (!series) {
    series = MakeSeries(metric, MakeLabels(metric, values), *impl_->registry);
  }
  return series;
}

Counter MetricRegistry::GetCounter(MetricId id, const LabelValues& values) {
  return Counter(Find(id, MetricType::kCounter, values));
}
Gauge MetricRegistry::GetGauge(MetricId id, const LabelValues& values) {
  return Gauge(Find(id, MetricType::kGauge, values));
}
Histogram MetricRegistry::GetHistogram(MetricId id, const LabelValues& values) {
  return Histogram(Find(id, MetricType::kHistogram, values));
}

absl::Status MetricRegistry::Record(std::string_view name,
                                    const LabelValues& values, double value) {
  const std::optional<MetricId> id = FindMetric(name);
  if (!id) {
    return absl::InvalidArgumentError(
        absl::StrCat("metric '", std::string(name), "' is not in the catalog"));
  }
  const MetricDefinition& metric = DefinitionOf(*id);
  if (metric.labels.size() != values.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("metric '", std::string(name), "' has ",
                     metric.labels.size(), " labels, got ", values.size()));
  }
  switch (metric.type) {
    case MetricType::kCounter:
      if (!(value >= 0)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "counter '", std::string(name), "' cannot grow by ", value));
      }
      GetCounter(*id, values).Increment(value);
      break;
    case MetricType::kGauge:
      GetGauge(*id, values).Set(value);
      break;
    case MetricType::kHistogram:
      GetHistogram(*id, values).Observe(value);
      break;
  }
  return absl::OkStatus();
}

int MetricRegistry::RemoveSeries(std::string_view label,
                                 std::string_view value) {
  MutexLock lock(impl_->mu);
  const auto matches = [&](const auto& entry) {
    const auto& [id, values] = entry.first;
    const std::vector<std::string>& labels = DefinitionOf(id).labels;
    for (size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] == label && values[i] == value) return true;
    }
    return false;
  };
  int removed = 0;
  for (auto it = impl_->series.begin(); it != impl_->series.end();) {
    if (!matches(*it)) {
      ++it;
      continue;
    }
    it->second->Remove();
    it = impl_->series.erase(it);
    ++removed;
  }
  return removed;
}

std::string MetricRegistry::Text() const {
  return prometheus::TextSerializer().Serialize(impl_->registry->Collect());
}

}  // namespace longspan
