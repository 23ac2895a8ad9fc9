#include "cli/simulation_json.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::cli {
namespace {

using Json = nlohmann::ordered_json;

Json CostJson(const MethodCost& cost) {
  return {{"layout", std::string(TokenLayoutName(cost.layout))},
          {"forward_bytes", cost.forward_bytes},
          {"backward_bytes", cost.backward_bytes},
          {"gradient_bytes", cost.gradient_bytes},
          {"forward_calls", cost.forward_calls},
          {"backward_calls", cost.backward_calls},
          {"buffer_bytes", cost.buffer_bytes},
          {"memory_bytes", cost.memory_bytes},
          {"compute_seconds", cost.compute_s},
          {"exposed_seconds", cost.exposed_s},
          {"seconds", cost.total_s},
          {"tokens_per_second", cost.tokens_per_s}};
}

Json EntryJson(const SweepPoint& point, const SweepEntry& entry) {
  Json json = {{"tokens", point.tokens},
               {"ranks", point.ranks},
               {"method", std::string(ExchangeMethodName(entry.method))}};
  if (!entry.refusal.ok()) {
    json["refused"] = std::string(entry.refusal.message());
    return json;
  }
  json.update(CostJson(entry.cost));
  json["fits"] = entry.fits;
  json["fastest"] = point.Fastest() == &entry;
  return json;
}

absl::StatusOr<double> NumberAt(const Json& point, const char* name) {
  const auto found = point.find(name);
  if (found == point.end()) {
    return absl::InvalidArgumentError(absl::StrCat("has no \"", name, "\""));
  }
  if (found->is_number()) return found->get<double>();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\" is ", found->dump(), ", not a number"));
}

// A whole number up to 2^40.
absl::StatusOr<int64_t> CountAt(const Json& point, const char* name) {
  ASSIGN_OR_RETURN(const double value, NumberAt(point, name));
  const bool whole = value >= 1 && value <= 1099511627776.0 &&
                     value == static_cast<double>(static_cast<int64_t>(value));
  if (whole) return static_cast<int64_t>(value);
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\" is ", value, ", not a count of at least 1"));
}

absl::StatusOr<MeasuredPoint> ReadPoint(const Json& json) {
  MeasuredPoint point;
  if (!json.is_object() || !json.contains("method") ||
      !json["method"].is_string()) {
    return absl::InvalidArgumentError("has no \"method\" by name");
  }
  ASSIGN_OR_RETURN(point.method,
                   ExchangeMethodOfName(json["method"].get<std::string>()));
  ASSIGN_OR_RETURN(const int64_t ranks, CountAt(json, "ranks"));
  if (ranks > 65536) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"ranks\" is ", ranks, ": at most 65536 are simulated"));
  }
  point.ranks = static_cast<int>(ranks);
  ASSIGN_OR_RETURN(point.tokens, CountAt(json, "tokens"));
  ASSIGN_OR_RETURN(point.latency_s, NumberAt(json, "latency_s"));
  ASSIGN_OR_RETURN(point.bandwidth, NumberAt(json, "bandwidth_bytes_per_s"));
  ASSIGN_OR_RETURN(point.seconds, NumberAt(json, "seconds"));
  return point;
}

}  // namespace

std::string SweepJson(const std::vector<SweepPoint>& points) {
  Json list = Json::array();
  for (const SweepPoint& point : points) {
    for (const SweepEntry& entry : point.entries) {
      list.push_back(EntryJson(point, entry));
    }
  }
  return Json{{"predictions", list}}.dump(1) + "\n";
}

std::string CalibrationJson(const Calibration& calibration) {
  Json list = Json::array();
  for (const PredictedPoint& point : calibration.points) {
    const MeasuredPoint& measured = point.measured;
    list.push_back(
        {{"method", std::string(ExchangeMethodName(measured.method))},
         {"ranks", measured.ranks},
         {"tokens", measured.tokens},
         {"latency_s", measured.latency_s},
         {"bandwidth_bytes_per_s", measured.bandwidth},
         {"seconds", measured.seconds},
         {"predicted_seconds", point.seconds},
         {"error", point.error()},
         {"calibrates", point.calibrates}});
  }
  return Json{{"flops_per_second", calibration.compute.flops_per_s},
              {"fixed_seconds", calibration.compute.fixed_s},
              {"points", list}}
             .dump(1) +
         "\n";
}

absl::StatusOr<std::vector<MeasuredPoint>> ReadMeasuredPoints(
    const std::string& file, const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("points") ||
      !json["points"].is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": is not a JSON object with a list of \"points\""));
  }
  std::vector<MeasuredPoint> points;
  for (const Json& entry : json["points"]) {
    absl::StatusOr<MeasuredPoint> point = ReadPoint(entry);
    if (!point.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": points[", points.size(), "] ",
                       std::string(point.status().message())));
    }
    points.push_back(*point);
  }
  return points;
}

}  // namespace longspan::cli
