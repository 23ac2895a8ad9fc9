#include "coordinator/ops/plan_spec.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/job_spec/layout_from_proto.h"
#include "common/job_spec/model_spec_from_proto.h"
#include "common/job_spec/sequence_parallel_from_proto.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/plan_to_wire.h"

namespace longspan::coordinator {
namespace {

// The model that an evaluate or generate job reads, or a train job starts
// from; null if there is none.
v1::ModelSource* MutableSource(v1::JobSpec* spec) {
  switch (spec->kind_case()) {
    case v1::JobSpec::kTrain:
      return spec->train().has_initial_model()
                 ? spec->mutable_train()->mutable_initial_model()
                 : nullptr;
    case v1::JobSpec::kEvaluate:
      return spec->mutable_evaluate()->mutable_model();
    case v1::JobSpec::kGenerate:
      return spec->mutable_generate()->mutable_model();
    case v1::JobSpec::KIND_NOT_SET:
      return nullptr;
  }
  return nullptr;
}

const v1::ModelSource* SourceOf(const v1::JobSpec& spec) {
  return MutableSource(const_cast<v1::JobSpec*>(&spec));
}

std::string SourcePath(const v1::JobSpec& spec) {
  return spec.has_train() ? "train.initial_model"
                          : absl::StrCat(JobKindName(KindOf(spec)), ".model");
}

v1::JobSpec SpecOf(const Job& job) {
  v1::JobSpec spec;
  LONGSPAN_CHECK(spec.ParseFromString(*job.spec)) << job.name;
  return spec;
}

std::optional<v1::JobSpec> TrainSpecOf(const Job& job) {
  v1::JobSpec spec = SpecOf(job);
  if (!spec.has_train()) return std::nullopt;
  return spec;
}

// Replaces the job of a source by the directory of its checkpoints.
absl::Status ResolveJobSource(Core& core, v1::ModelSource* source)
    REQUIRES(core.mu) {
  const JobSnapshot job = core.jobs.Find(JobName(source->job()));
  if (job == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no job ", source->job()));
  }
  const std::optional<v1::JobSpec> spec = TrainSpecOf(*job);
  if (!spec) {
    return absl::InvalidArgumentError(
        absl::StrCat(source->job(), " is not a train job"));
  }
  if (job->checkpoint_step == 0 && job->state != JobState::kSucceeded) {
    return absl::FailedPreconditionError(
        absl::StrCat(source->job(), " is ", JobStateName(job->state),
                     " and has no checkpoint yet: wait for it to succeed"));
  }
  source->set_uri(spec->train().checkpoint().uri());
  return absl::OkStatus();
}

bool IsBeneath(const std::string& uri, const std::string& directory) {
  return uri == directory ||
         (uri.size() > directory.size() &&
          uri.compare(0, directory.size(), directory) == 0 &&
          uri[directory.size()] == '/');
}

// The spec of a model, if it is a train job's that is still known.
std::optional<ModelSpec> FindModel(Core& core, const std::string& uri)
    REQUIRES(core.mu) {
  for (const auto& [name, job] : core.jobs.jobs()) {
    if (job->kind != JobKind::kTrain) continue;
    const std::optional<v1::JobSpec> spec = TrainSpecOf(*job);
    if (spec && IsBeneath(uri, spec->train().checkpoint().uri())) {
      return ResolveDefaults(ModelSpecFromProto(spec->train().model()));
    }
  }
  return std::nullopt;
}

int64_t BytesOf(v1::Precision precision) {
  if (precision == v1::BF16) return 2;
  return precision == v1::F64 ? 8 : 4;
}

int64_t LargestDevice(Core& core, const std::string& backend)
    REQUIRES(core.mu) {
  int64_t largest = 0;
  for (const auto& [name, worker] : core.workers.workers()) {
    for (const Device& device : worker.info.devices) {
      if (device.kind == backend) {
        largest = std::max(largest, device.memory_bytes);
      }
    }
  }
  return largest;
}

// A validated spec's method.
SequenceParallel MethodOf(v1::SequenceParallel method) {
  return SequenceParallelFromProto(method).value_or(SequenceParallel::kLasp2);
}

SoftmaxParallel MethodOf(v1::SoftmaxSequenceParallel::Method method) {
  return SoftmaxParallelFromProto(method).value_or(SoftmaxParallel::kGather);
}

void RequestTrain(const v1::TrainSpec& train, PlanRequest& request) {
  request.mode = RunMode::kTrain;
  request.model = ResolveDefaults(ModelSpecFromProto(train.model()));
  request.tokens = train.sequence_length();
  request.batch = train.batch_size();
  request.replicas = std::max(1, train.data_parallel());
  request.element_bytes = BytesOf(train.precision());
  request.method = MethodOf(train.sequence_parallel());
  request.softmax_method = MethodOf(train.softmax_sequence_parallel());
  request.state_gather = GatherSettingsFromProto(train);
  request.layout =
      LayoutFromProto(train.layout()).value_or(TokenLayout::kContiguous);
  request.tokens_path = "train.sequence_length";
  request.method_path = "train.sequence_parallel";
  request.softmax_method_path = "train.softmax_sequence_parallel";
}

void RequestEvaluate(const v1::EvaluateSpec& evaluate, PlanRequest& request) {
  request.mode = RunMode::kEvaluate;
  request.tokens = evaluate.piece_length();
  request.element_bytes = BytesOf(evaluate.precision());
  request.method = MethodOf(evaluate.sequence_parallel());
  request.softmax_method = MethodOf(evaluate.softmax_sequence_parallel());
  request.carries_state = true;
  request.context_tokens =
      std::max(request.tokens, evaluate.data().end() - evaluate.data().begin());
  request.tokens_path = "evaluate.piece_length";
  request.method_path = "evaluate.sequence_parallel";
  request.softmax_method_path = "evaluate.softmax_sequence_parallel";
}

int64_t PromptTokens(const v1::GenerateSpec& generate) {
  switch (generate.prompt_case()) {
    case v1::GenerateSpec::kText:
      return static_cast<int64_t>(generate.text().size());
    case v1::GenerateSpec::kTokenIds:
      return generate.token_ids().ids_size();
    case v1::GenerateSpec::kPromptData:
      return std::max<int64_t>(
          0, generate.prompt_data().end() - generate.prompt_data().begin());
    case v1::GenerateSpec::PROMPT_NOT_SET:
      return 0;
  }
  return 0;
}

void RequestGenerate(const v1::GenerateSpec& generate, PlanRequest& request) {
  const int64_t prompt = PromptTokens(generate);
  request.mode = RunMode::kGenerate;
  request.tokens = generate.piece_length();
  if (prompt > 0) request.tokens = std::min(request.tokens, prompt);
  // A prompt shorter than the gang is computed whole by every rank.
  request.tokens = std::max<int64_t>(request.tokens, request.ranks);
  request.element_bytes = BytesOf(generate.precision());
  request.method = MethodOf(generate.sequence_parallel());
  request.softmax_method = MethodOf(generate.softmax_sequence_parallel());
  request.carries_state = true;
  request.context_tokens =
      std::max(request.tokens, prompt) + generate.max_new_tokens();
  request.tokens_path = "generate.piece_length";
  request.method_path = "generate.sequence_parallel";
  request.softmax_method_path = "generate.softmax_sequence_parallel";
}

PlanRequest RequestOf(Core& core, const v1::JobSpec& spec) REQUIRES(core.mu) {
  PlanRequest request;
  request.ranks = spec.resources().ranks();
  request.backend = spec.resources().backend();
  request.threads = std::max(1, spec.resources().threads());
  request.device_memory_bytes = LargestDevice(core, request.backend);
  if (spec.has_train()) RequestTrain(spec.train(), request);
  if (spec.has_evaluate()) RequestEvaluate(spec.evaluate(), request);
  if (spec.has_generate()) RequestGenerate(spec.generate(), request);
  if (!request.model && SourceOf(spec) != nullptr) {
    request.model = FindModel(core, SourceOf(spec)->uri());
  }
  return request;
}

void AddRoot(const std::string& uri, std::set<std::string>& roots) {
  const size_t end = uri.find("://");
  if (end != std::string::npos) roots.insert(uri.substr(0, end));
}

std::vector<std::string> RootsOf(const v1::JobSpec& spec) {
  std::set<std::string> roots;
  AddRoot(spec.train().data().uri(), roots);
  AddRoot(spec.train().validation().uri(), roots);
  AddRoot(spec.train().checkpoint().uri(), roots);
  AddRoot(spec.evaluate().data().uri(), roots);
  AddRoot(spec.generate().prompt_data().uri(), roots);
  if (const v1::ModelSource* source = SourceOf(spec)) {
    AddRoot(source->uri(), roots);
  }
  return {roots.begin(), roots.end()};
}

JobDemand DemandOf(const v1::JobSpec& spec, const JobPlan& plan) {
  JobDemand demand;
  demand.ranks = spec.resources().ranks();
  demand.replica_ranks = plan.group();
  demand.backend = spec.resources().backend();
  demand.threads = spec.resources().threads();
  demand.priority = spec.priority();
  demand.max_failures = spec.max_failures();
  demand.roots = RootsOf(spec);
  demand.memory_bytes = plan.LargestRankBytes();
  return demand;
}

}  // namespace

JobKind KindOf(const v1::JobSpec& spec) {
  if (spec.has_evaluate()) return JobKind::kEvaluate;
  if (spec.has_generate()) return JobKind::kGenerate;
  return JobKind::kTrain;
}

std::vector<FieldViolation> ResolveSources(Core& core,
                                           const std::string& job_id,
                                           v1::JobSpec* spec) {
  std::vector<FieldViolation> violations;
  if (spec->has_train() && spec->train().checkpoint().uri().empty()) {
    spec->mutable_train()->mutable_checkpoint()->set_uri(
        absl::StrCat("outputs://", job_id, "/checkpoints"));
  }
  v1::ModelSource* source = MutableSource(spec);
  if (source == nullptr || !source->has_job()) return violations;
  const absl::Status status = ResolveJobSource(core, source);
  if (!status.ok()) {
    violations.push_back({absl::StrCat(SourcePath(*spec), ".job"),
                          std::string(status.message())});
  }
  return violations;
}

SpecPlan PlanSpec(Core& core, const v1::JobSpec& spec) {
  PlanResult result = PlanJob(RequestOf(core, spec));
  SpecPlan plan;
  for (PlanProblem& problem : result.problems) {
    plan.violations.push_back(
        {std::move(problem.path), std::move(problem.message)});
  }
  plan.demand = DemandOf(spec, result.plan);
  plan.plan = PlanToWire(result.plan);
  plan.layout = LayoutToProto(result.plan.layout);
  return plan;
}

PlanRequest PlanRequestOf(Core& core, const Job& job) {
  return RequestOf(core, SpecOf(job));
}

AssignmentPlan PlanAssignment(Core& core, const Job& job) {
  v1::JobSpec spec = SpecOf(job);
  AssignmentPlan assignment;
  assignment.plan = PlanSpec(core, spec).plan;
  if (const v1::ModelSource* source = SourceOf(spec)) {
    assignment.model_uri = source->uri();
  }
  assignment.checkpoint_uri = spec.train().checkpoint().uri();
  return assignment;
}

}  // namespace longspan::coordinator
