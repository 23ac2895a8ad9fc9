#include "coordinator/status_page/job_json.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "coordinator/ops/wire_time.h"
#include "google/protobuf/io/coded_stream.h"
#include "longspan/v1/job.pb.h"
#include "nlohmann/json.hpp"

namespace longspan::coordinator {
namespace {

using nlohmann::json;

constexpr int kMostRanks = 1024;

// What people read needs no 17 digits. Null if it is not finite.
json Rounded(double value) {
  if (!std::isfinite(value)) return nullptr;
  double rounded = value;
  (void)absl::SimpleAtod(absl::StrFormat("%.6g", value), &rounded);
  return rounded;
}

json ProgressJson(const v1::Progress& progress) {
  json out = {{"done", progress.done()},
              {"total", progress.total()},
              {"unit", progress.unit()},
              {"phase", progress.phase()},
              {"fraction", Rounded(progress.fraction())},
              {"tokens", progress.tokens()},
              {"tokens_per_second", Rounded(progress.tokens_per_second())},
              {"loss", Rounded(progress.loss())},
              {"validation_loss", Rounded(progress.validation_loss())},
              {"learning_rate", Rounded(progress.learning_rate())},
              {"gradient_norm", Rounded(progress.gradient_norm())},
              {"memory_used_bytes", progress.memory_used_bytes()},
              {"memory_peak_bytes", progress.memory_peak_bytes()},
              {"memory_planned_bytes", progress.memory_planned_bytes()},
              {"checkpoint_step", progress.checkpoint_step()}};
  if (progress.has_remaining()) {
    out["remaining_seconds"] = progress.remaining().seconds();
  }
  if (progress.has_update_time()) {
    out["update_time"] = TimeJson(ReadTime(progress.update_time()));
  }
  if (progress.has_step_times()) {
    const v1::StepTimes& times = progress.step_times();
    out["step_seconds"] = {
        {"total", Rounded(times.total())},
        {"compute", Rounded(times.compute())},
        {"exposed_communication", Rounded(times.exposed_communication())},
        {"input_wait", Rounded(times.input_wait())},
        {"optimizer", Rounded(times.optimizer())},
        {"checkpoint", Rounded(times.checkpoint())}};
  }
  return out;
}

json AttemptJson(const Attempt& attempt) {
  return {{"number", attempt.number},
          {"start_time", TimeJson(attempt.start_time)},
          {"end_time", TimeJson(attempt.end_time)},
          {"resumed_step", attempt.resumed_step},
          {"end_reason", Clip(attempt.end_reason)}};
}

json PlacementsJson(const Job& job) {
  json placed = json::array();
  if (job.attempts.empty()) return placed;
  for (const Placement& placement : job.attempts.back().placements) {
    if (placed.size() == kMostRanks) break;
    placed.push_back({{"rank", placement.rank},
                      {"worker", placement.worker},
                      {"slot", placement.slot}});
  }
  return placed;
}

// By columns, which is half the bytes of a list of points.
json CurveJson(const ThinnedCurve& curve) {
  json steps = json::array(), mean = json::array(), least = json::array(),
       most = json::array();
  for (const ThinnedCurve::Point& point : curve.points()) {
    steps.push_back(point.step);
    mean.push_back(Rounded(point.mean));
    least.push_back(Rounded(point.least));
    most.push_back(Rounded(point.most));
  }
  return {{"step", std::move(steps)},
          {"mean", std::move(mean)},
          {"least", std::move(least)},
          {"most", std::move(most)}};
}

json ResultJson(const std::string& bytes) {
  v1::JobResult result;
  LONGSPAN_CHECK(result.ParseFromString(bytes));
  if (result.has_train()) {
    const v1::TrainResult& train = result.train();
    return {{"steps", train.steps()},
            {"tokens", train.tokens()},
            {"loss", Rounded(train.loss())},
            {"validation_loss", Rounded(train.validation_loss())},
            {"tokens_per_second", Rounded(train.tokens_per_second())},
            {"memory_peak_bytes", train.memory_peak_bytes()},
            {"memory_planned_bytes", train.memory_planned_bytes()},
            {"skipped_steps", train.skipped_steps()},
            {"checkpoint_uri", Clip(train.checkpoint_uri())}};
  }
  if (result.has_evaluate()) {
    const v1::EvaluateResult& evaluate = result.evaluate();
    return {{"tokens", evaluate.tokens()},
            {"loss", Rounded(evaluate.loss())},
            {"perplexity", Rounded(evaluate.perplexity())},
            {"bits_per_byte", Rounded(evaluate.bits_per_byte())},
            {"tokens_per_second", Rounded(evaluate.tokens_per_second())}};
  }
  const v1::Usage& usage = result.generate().usage();
  return {{"prompt_tokens", usage.prompt_tokens()},
          {"generated_tokens", usage.generated_tokens()},
          {"memory_peak_bytes", usage.memory_peak_bytes()}};
}

json MemoryJson(const v1::MemoryPlan& memory) {
  return {{"parameters", memory.parameters()},
          {"gradients", memory.gradients()},
          {"optimizer", memory.optimizer()},
          {"activations", memory.activations()},
          {"workspace", memory.workspace()},
          {"collective_buffers", memory.collective_buffers()},
          {"data", memory.data()},
          {"total", memory.total()}};
}

// The spec's name. Not parsed for it: every poll asks for 50 titles, and a spec
// may hold a prompt of megabytes. Fields are written in the order of their
// numbers, so that the name is at the beginning, or is empty.
std::string TitleOf(const Job& job) {
  constexpr uint32_t kNameTag = 1 << 3 | 2;  // field 1, of counted bytes
  static_assert(v1::JobSpec::kNameFieldNumber == 1);
  google::protobuf::io::CodedInputStream spec(
      reinterpret_cast<const uint8_t*>(job.spec->data()),
      static_cast<int>(job.spec->size()));
  if (spec.ReadTag() != kNameTag) return "";
  uint32_t size = 0;
  std::string name;
  LONGSPAN_CHECK(spec.ReadVarint32(&size) &&
                 spec.ReadString(&name, static_cast<int>(size)))
      << job.name;
  return name;
}

}  // namespace

json TimeJson(absl::Time time) {
  if (time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
    return nullptr;
  }
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

std::string Clip(const std::string& text, size_t size) {
  return text.size() <= size ? text : text.substr(0, size) + "...";
}

json JobSummaryJson(const JobView& view) {
  const Job& job = *view.job;
  json out = {{"name", job.name.value()},
              {"title", Clip(TitleOf(job), 256)},
              {"kind", JobKindName(job.kind)},
              {"state", JobStateName(job.state)},
              {"ranks", job.demand.ranks},
              {"backend", job.demand.backend},
              {"priority", job.demand.priority},
              {"create_time", TimeJson(job.create_time)},
              {"start_time", TimeJson(job.start_time)},
              {"end_time", TimeJson(job.end_time)}};
  if (!job.error.empty()) out["error"] = Clip(job.error);
  if (view.pending) {
    out["pending_reason"] = Clip(view.pending->reason);
    out["queue_position"] = view.pending->queue_position;
  }
  if (view.progress) out["progress"] = ProgressJson(*view.progress);
  return out;
}

json JobDetailJson(const JobView& view,
                   const std::optional<JobCurves>& curves) {
  const Job& job = *view.job;
  json out = JobSummaryJson(view);
  out["attempts"] = json::array();
  for (const Attempt& attempt : job.attempts) {
    out["attempts"].push_back(AttemptJson(attempt));
  }
  out["placements"] = PlacementsJson(job);
  if (job.result != nullptr) out["result"] = ResultJson(*job.result);
  if (curves) {
    out["curves"] = {
        {"loss", CurveJson(curves->loss)},
        {"validation_loss", CurveJson(curves->validation_loss)},
        {"tokens_per_second", CurveJson(curves->tokens_per_second)}};
  }
  return out;
}

json PlanJson(const v1::Plan& plan) {
  json ranks = json::array();
  for (const v1::RankPlan& rank : plan.ranks()) {
    if (ranks.size() == kMostRanks) break;
    json ranges = json::array();
    for (const v1::TokenRange& range : rank.token_ranges()) {
      ranges.push_back({range.begin(), range.end()});
    }
    json entry = {{"rank", rank.rank()}, {"token_ranges", std::move(ranges)}};
    if (rank.has_memory()) entry["memory"] = MemoryJson(rank.memory());
    ranks.push_back(std::move(entry));
  }
  return {{"parameter_count", plan.parameter_count()},
          {"rank_count", plan.ranks_size()},
          {"ranks", std::move(ranks)}};
}

}  // namespace longspan::coordinator
