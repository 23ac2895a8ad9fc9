#include "worker/executor/rank_setup.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/job_spec/layout_from_proto.h"
#include "common/job_spec/sequence_parallel_from_proto.h"
#include "common/model_spec/token_layout.h"
#include "kernels/select/backend_registry.h"
#include "longspan/internal/executor.pb.h"
#include "worker/collective/gloo_group.h"
#include "worker/collective/nccl_group.h"
#include "worker/executor/proto_time.h"
#include "worker/parallel/mesh.h"

namespace longspan::worker {
namespace {

// The settings that all job kinds share.
struct RunSettings {
  v1::Precision precision = v1::F32;
  v1::SequenceParallel method = v1::LASP2;
  v1::SoftmaxSequenceParallel::Method softmax_method =
      v1::SoftmaxSequenceParallel::GATHER;
};

template <typename Spec>
RunSettings SettingsOf(const Spec& spec) {
  return {spec.precision(), spec.sequence_parallel(),
          spec.softmax_sequence_parallel()};
}

RunSettings JobSettings(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kTrain:
      return SettingsOf(spec.train());
    case v1::JobSpec::kEvaluate:
      return SettingsOf(spec.evaluate());
    case v1::JobSpec::kGenerate:
      return SettingsOf(spec.generate());
    case v1::JobSpec::KIND_NOT_SET:
      return {};
  }
  return {};
}

absl::StatusOr<kernels::DType> TypeOf(v1::Precision precision,
                                      kernels::BackendKind backend) {
  const bool cuda = backend == kernels::BackendKind::kCuda;
  if (precision == v1::PRECISION_UNSPECIFIED) {
    precision = cuda ? v1::BF16 : v1::F32;
  }
  if (precision == v1::F32) return kernels::DType::kF32;
  if (precision == v1::F64 && !cuda) return kernels::DType::kF64;
  if (precision == v1::BF16 && cuda) return kernels::DType::kBF16;
  return absl::UnimplementedError(absl::StrCat(
      "precision ", v1::Precision_Name(precision), " on the backend ",
      cuda ? "cuda, which knows BF16 and F32"
           : "cpu, which knows F32 and F64"));
}

absl::StatusOr<kernels::BackendKind> KindOf(const std::string& name) {
  if (name.empty() || name == "cpu") return kernels::BackendKind::kCpu;
  if (name == "cuda") return kernels::BackendKind::kCuda;
  return absl::InvalidArgumentError(
      absl::StrCat("resources.backend '", name, "'; one of cpu, cuda"));
}

bool Equal(const TokenRange& range, const v1::TokenRange& planned) {
  return planned.begin() == range.begin && planned.end() == range.end;
}

std::string TextOf(const TokenRange& range) {
  return absl::StrCat("[", range.begin, ", ", range.end, ")");
}

// The planner's token ranges are what the worker will compute: both cut with
// CutTokens, and both must have cut the same sequence in the same way.
absl::Status CheckTokenRanges(const v1::Plan& plan, const Mesh& mesh,
                              TokenLayout layout, int64_t sequence_length) {
  const int ranks = mesh.sequence_ranks();
  layout = LayoutOver(ranks, layout);
  ASSIGN_OR_RETURN(const std::vector<TokenRange> parts,
                   CutTokens(layout, sequence_length, ranks));
  for (int rank = 0; rank < plan.ranks_size(); ++rank) {
    const auto& planned = plan.ranks(rank).token_ranges();
    const std::vector<int> own = PartsOf(layout, parts, rank % ranks);
    bool equal = planned.size() == static_cast<int>(own.size());
    std::string text;
    for (int i = 0; i < static_cast<int>(own.size()); ++i) {
      equal = equal && Equal(parts[own[i]], planned[i]);
      absl::StrAppend(&text, i == 0 ? "" : " and ", TextOf(parts[own[i]]));
    }
    if (equal) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "the plan gives rank ", rank, " other tokens than ", text, " of ",
        sequence_length, "; coordinator and worker are of different versions"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Mesh> MeshOf(const v1::Assignment& assignment) {
  const v1::JobSpec& spec = assignment.spec();
  return Mesh::Create(std::max(spec.resources().ranks(), 1),
                      std::max(spec.train().data_parallel(), 1),
                      assignment.rank());
}

absl::Status CheckPlan(const v1::Assignment& assignment, const Mesh& mesh) {
  if (!assignment.spec().has_train() || assignment.plan().ranks_size() == 0) {
    return absl::OkStatus();
  }
  if (assignment.plan().ranks_size() != mesh.ranks()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the plan is of ", assignment.plan().ranks_size(),
                     " ranks, the job of ", mesh.ranks()));
  }
  const v1::TrainSpec& train = assignment.spec().train();
  ASSIGN_OR_RETURN(const TokenLayout layout, PlannedLayout(train.layout()));
  return CheckTokenRanges(assignment.plan(), mesh, layout,
                          train.sequence_length());
}

std::string KeyPrefix(const v1::AttemptKey& key) {
  return absl::StrCat(key.job(), "/", key.attempt(), "/", key.epoch());
}

absl::Duration OrDefault(const google::protobuf::Duration& from,
                         absl::Duration otherwise) {
  const absl::Duration duration = ReadDuration(from);
  return duration > absl::ZeroDuration() ? duration : otherwise;
}

// An executor computes on ordinal 0, the only GPU that its agent shows it
// (worker/agent/executor_environment.h).
absl::Status CheckVisibleGpus(kernels::BackendKind kind) {
  if (kind != kernels::BackendKind::kCuda) return absl::OkStatus();
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  const std::string listed = visible == nullptr ? "" : visible;
  if (!listed.empty() && listed.find(',') == std::string::npos) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "CUDA_VISIBLE_DEVICES is '", listed,
      "'; an executor computes on one GPU, which its worker names there"));
}

// This rank's place among those that meet under a name.
struct Membership {
  std::string key_prefix;
  int rank = 0;
  int size = 1;
};

absl::StatusOr<std::unique_ptr<ProcessGroup>> Connect(
    const internal::ExecutorAssignment& message, kernels::BackendKind kind,
    kernels::Backend* backend, const Membership& place,
    RendezvousStore& store) {
  const v1::Assignment& assignment = message.assignment();
  if (kind == kernels::BackendKind::kCuda) {
    NcclGroupOptions options = {.rank = place.rank, .size = place.size};
    options.backend = backend;
    options.key_prefix = place.key_prefix;
    options.connect_timeout =
        OrDefault(assignment.rendezvous_timeout(), options.connect_timeout);
    options.collective_timeout =
        OrDefault(assignment.collective_timeout(), options.collective_timeout);
    return CreateNcclGroup(options, store);
  }
  GlooGroupOptions options = {.rank = place.rank, .size = place.size};
  options.key_prefix = place.key_prefix;
  options.secret = assignment.rendezvous_secret();
  if (!message.data_address().empty()) {
    options.listen_address = message.data_address();
  }
  options.connect_timeout =
      OrDefault(assignment.rendezvous_timeout(), options.connect_timeout);
  options.collective_timeout =
      OrDefault(assignment.collective_timeout(), options.collective_timeout);
  return CreateGlooGroup(options, store);
}

}  // namespace

absl::StatusOr<RankSetup> SetUpRank(const internal::ExecutorAssignment& message,
                                    RendezvousStore& store) {
  const v1::Assignment& assignment = message.assignment();
  const v1::JobSpec& spec = assignment.spec();
  const RunSettings settings = JobSettings(spec);
  ASSIGN_OR_RETURN(const Mesh mesh, MeshOf(assignment));
  RETURN_IF_ERROR(CheckPlan(assignment, mesh));

  RankSetup setup;
  RankContext& context = setup.context;
  ASSIGN_OR_RETURN(context.backend_kind, KindOf(spec.resources().backend()));
  ASSIGN_OR_RETURN(context.dtype,
                   TypeOf(settings.precision, context.backend_kind));
  context.threads = std::max(message.threads(), 1);
  ASSIGN_OR_RETURN(context.method, SequenceParallelFromProto(settings.method));
  ASSIGN_OR_RETURN(context.softmax_method,
                   SoftmaxParallelFromProto(settings.softmax_method));
  context.state_gather = GatherSettingsFromProto(spec.train());
  RETURN_IF_ERROR(CheckVisibleGpus(context.backend_kind));
  ASSIGN_OR_RETURN(setup.backend, kernels::CreateBackend(context.backend_kind));
  ASSIGN_OR_RETURN(setup.stream, setup.backend->CreateStream(context.threads));
  const std::string key = KeyPrefix(assignment.key());
  if (mesh.sequence_ranks() > 1) {
    ASSIGN_OR_RETURN(
        setup.group,
        Connect(message, context.backend_kind, setup.backend.get(),
                {.key_prefix = mesh.replicas() == 1
                                   ? key
                                   : absl::StrCat(key, "/", mesh.replica()),
                 .rank = mesh.sequence_rank().value(),
                 .size = mesh.sequence_ranks()},
                store));
  }
  if (mesh.replicas() > 1) {
    ASSIGN_OR_RETURN(setup.replicas,
                     Connect(message, context.backend_kind, setup.backend.get(),
                             {.key_prefix = key,
                              .rank = assignment.rank(),
                              .size = mesh.ranks()},
                             store));
  }
  context.backend = setup.backend.get();
  context.stream = setup.stream.get();
  context.group = setup.group.get();
  context.replicas = setup.replicas.get();
  return setup;
}

}  // namespace longspan::worker
