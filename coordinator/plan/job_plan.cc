#include "coordinator/plan/job_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/units.h"
#include "common/model_spec/communication_plan.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/layout_choice.h"
#include "common/model_spec/model_cost.h"
#include "common/model_spec/parameter_layout.h"

namespace longspan::coordinator {
namespace {

CommunicationShape CommunicationOf(const PlanRequest& request,
                                   const JobPlan& plan, int replica) {
  CommunicationShape shape;
  shape.batch = request.batch / request.replicas;
  shape.ranges = plan.ranges;
  shape.layout = plan.layout;
  shape.element_bytes = request.element_bytes;
  shape.backward = request.mode == RunMode::kTrain;
  shape.carries_state = request.carries_state;
  shape.method = request.method;
  shape.softmax_method = request.softmax_method;
  shape.state_gather = request.state_gather;
  shape.replicas = request.replicas;
  shape.replica = replica;
  return shape;
}

bool OnCuda(const PlanRequest& request) { return request.backend == "cuda"; }

RunShape MemoryShapeOf(const PlanRequest& request, const JobPlan& plan,
                       int rank) {
  const int group = plan.group();
  RunShape shape;
  shape.mode = request.mode;
  shape.batch = request.batch / request.replicas;
  shape.ranges = plan.ranges;
  shape.layout = plan.layout;
  shape.rank = rank % group;
  shape.replicas = request.replicas;
  shape.replica = rank / group;
  shape.element_bytes = request.element_bytes;
  shape.backend = OnCuda(request) ? kernels::BackendKind::kCuda
                                  : kernels::BackendKind::kCpu;
  shape.threads = std::max(request.threads, 1);
  shape.method = request.method;
  shape.softmax_method = request.softmax_method;
  shape.state_gather = request.state_gather;
  shape.carries_state = request.carries_state;
  shape.context_tokens = request.context_tokens;
  return shape;
}

std::vector<LayerTraffic> EmptyTraffic(const ModelSpec& model, int ranks) {
  std::vector<LayerTraffic> layers;
  for (int64_t layer = 0; layer < model.layer_count; ++layer) {
    LayerTraffic traffic;
    traffic.layer = static_cast<int>(layer);
    traffic.mixer = LayerKindAt(model, layer) == LayerKind::kLinear
                        ? std::string(LinearMixerName(model.linear.mixer))
                        : "softmax";
    traffic.forward_bytes.assign(ranks, 0);
    traffic.backward_bytes.assign(ranks, 0);
    layers.push_back(std::move(traffic));
  }
  return layers;
}

void AddTransfer(const PlannedTransfer& transfer, int rank, JobPlan& plan) {
  if (transfer.layer < 0) {
    plan.gradient_sync_bytes_per_rank =
        std::max(plan.gradient_sync_bytes_per_rank, transfer.bytes_sent);
    return;
  }
  LayerTraffic& layer = plan.layers[transfer.layer];
  if (transfer.kind == TransferKind::kConvolutionHalo) {
    layer.halo_bytes += transfer.bytes_sent;
  } else if (transfer.direction == TransferDirection::kBackward) {
    layer.backward_bytes[rank] += transfer.bytes_sent;
  } else {
    layer.forward_bytes[rank] += transfer.bytes_sent;
  }
}

void PlanTraffic(const PlanRequest& request, JobPlan& plan) {
  const int group = plan.group();
  plan.layers = EmptyTraffic(*request.model, request.ranks);
  for (int rank = 0; rank < request.ranks; ++rank) {
    const CommunicationShape shape =
        CommunicationOf(request, plan, rank / group);
    for (const PlannedTransfer& transfer :
         PlanCommunication(*request.model, shape, rank % group)) {
      AddTransfer(transfer, rank, plan);
    }
  }
}

void PlanCosts(const PlanRequest& request, JobPlan& plan) {
  const ModelSpec& model = *request.model;
  const int64_t context = std::max(request.tokens, request.context_tokens);
  const double per_token = request.mode == RunMode::kTrain
                               ? TrainFlopsPerToken(model, context)
                               : ForwardFlopsPerToken(model, context);
  plan.parameter_count = ParameterCount(model);
  plan.flops_per_step = static_cast<int64_t>(
      per_token * static_cast<double>(request.tokens * request.batch));
}

void PlanRankMemory(const PlanRequest& request, PlanResult& result) {
  for (int rank = 0; rank < request.ranks; ++rank) {
    result.plan.memory.push_back(
        PlanMemory(*request.model, MemoryShapeOf(request, result.plan, rank)));
  }
  const int64_t needed = result.plan.LargestRankBytes();
  const int64_t available = request.device_memory_bytes;
  if (available == 0 || needed <= available) return;
  result.problems.push_back(
      {request.tokens_path,
       absl::StrCat(
           "a rank needs ", FormatBytes(needed), " for ",
           TokensOf(result.plan.layout, result.plan.ranges, 0),
           " tokens, and the largest ", request.backend, " device has ",
           FormatBytes(available),
           ": use more ranks, a shorter sequence or a smaller batch")});
}

const char* ReasonOf(SoftmaxParallel method) {
  switch (method) {
    case SoftmaxParallel::kGather:
      return ": every rank keeps the keys and values of all tokens";
    case SoftmaxParallel::kRing:
      return ": keys and values go round the ranks; each keeps its own and two "
             "that travel";
    case SoftmaxParallel::kUlysses:
      return ": every rank keeps all tokens of its heads";
    case SoftmaxParallel::kMegatronSp:
      return ": every rank projects and keeps all tokens of its heads";
  }
  return "";
}

// What of a gather is not waited for.
std::string SlicesText(const PlanRequest& request, const JobPlan& plan) {
  const int64_t slices = KeySliceCount(
      request.softmax_method, plan.group(), request.model->softmax.key_heads,
      /*carries_state=*/request.mode != RunMode::kTrain);
  if (slices == 1) return "";
  return absl::StrCat(", which come in ", slices,
                      " slices of heads, all but the first while it attends to "
                      "the one before");
}

// "3, 3, 2 of 8 heads over all 4096 tokens".
std::string HeadShares(int64_t heads, int64_t key_heads,
                       const PlanRequest& request, const JobPlan& plan) {
  std::vector<int64_t> sizes;
  const int group = plan.group();
  for (int rank = 0; rank < group; ++rank) {
    sizes.push_back(CutHeads(heads, key_heads, rank, group).heads.size());
  }
  return absl::StrCat(absl::StrJoin(sizes, ", "), " of ", heads,
                      " heads over all ", request.tokens, " tokens");
}

void ExplainHeads(const PlanRequest& request, JobPlan& plan) {
  const LinearAttentionSpec& linear = request.model->linear;
  plan.reasons.push_back(absl::StrCat(
      std::string(SequenceParallelName(request.method)), ": the ranks take ",
      HeadShares(linear.heads, linear.key_heads, request, plan),
      "; bytes grow with the tokens, where those of states do not"));
}

// ", gathered as bf16, in 4 calls"; nothing for the default.
std::string GatherText(const GatherSettings& gather) {
  if (gather == GatherSettings()) return "";
  return absl::StrCat(
      ", gathered ", gather.bf16 ? "as bf16, half the bytes" : "as they are",
      gather.splits > 1 ? absl::StrCat(", in ", gather.splits, " calls") : "");
}

void ExplainMethods(const PlanRequest& request, JobPlan& plan) {
  if (HasLayer(*request.model, LayerKind::kLinear)) {
    plan.reasons.push_back(absl::StrCat(
        "sequence_parallel ", std::string(SequenceParallelName(request.method)),
        ": of linear layers", GatherText(request.state_gather)));
    if (SharesHeads(request.method)) ExplainHeads(request, plan);
    if (RowsTravel(request.method)) {
      plan.reasons.push_back(
          "ring: every rank makes the states of the ranges before its own from "
          "their rows; bytes grow with the tokens, and work with the ranks");
    }
    if (request.method == SequenceParallel::kRingLeft) {
      plan.reasons.push_back(
          "ring_left: every rank multiplies its queries with the keys of all "
          "ranges before its own; bytes grow with the tokens, and work with "
          "their square");
    }
  }
  if (!HasLayer(*request.model, LayerKind::kSoftmax)) return;
  plan.reasons.push_back(absl::StrCat(
      "softmax_sequence_parallel ",
      std::string(SoftmaxParallelName(request.softmax_method)),
      ReasonOf(request.softmax_method), SlicesText(request, plan)));
  if (!SharesHeads(request.softmax_method)) return;
  const SoftmaxAttentionSpec& softmax = request.model->softmax;
  plan.reasons.push_back(
      absl::StrCat(std::string(SoftmaxParallelName(request.softmax_method)),
                   ": the ranks take ",
                   HeadShares(softmax.heads, softmax.key_heads, request, plan),
                   " in softmax layers"));
}

LayoutQuestion QuestionOf(const PlanRequest& request) {
  return {.tokens = request.tokens,
          .batch = request.batch / request.replicas,
          .ranks = request.ranks / request.replicas,
          .element_bytes = request.element_bytes,
          .method = request.method,
          .softmax_method = request.softmax_method,
          .state_gather = request.state_gather,
          .cuda = OnCuda(request)};
}

// For a sequence that has a token for every rank.
LayoutChoice LayoutOf(const PlanRequest& request) {
  LayoutChoice choice;
  if (request.model) choice = ChooseLayout(*request.model, QuestionOf(request));
  if (request.layout) {
    choice.layout =
        LayoutOver(request.ranks / request.replicas, *request.layout);
  }
  return choice;
}

// `why` is for the layout that the planner would choose.
void ExplainLayout(const PlanRequest& request, const std::string& why,
                   JobPlan& plan) {
  const int64_t group = plan.group();
  const int64_t parts = static_cast<int64_t>(plan.ranges.size());
  plan.reasons.push_back(absl::StrCat(
      request.tokens, " tokens over ", group, " ranks: ",
      parts == group ? "contiguous ranges" : "zigzag, two parts each of all",
      parts == group ? "" : absl::StrCat(" ", parts), ", the first ",
      request.tokens % parts, " longer by one"));
  if (request.replicas > 1) {
    plan.reasons.push_back(absl::StrCat(
        "data_parallel ", request.replicas, ": groups of ", group,
        " neighbouring ranks, each with ", request.batch / request.replicas,
        " of the ", request.batch,
        " sequences of a step; only gradients cross between groups"));
  }
  if (request.model && group > 1) ExplainMethods(request, plan);
  if (request.model && group > 1 && request.mode == RunMode::kTrain) {
    plan.reasons.push_back(
        absl::StrCat("layout ", std::string(TokenLayoutName(plan.layout)),
                     request.layout ? ", as asked: " : ": ", why));
  }
  if (!request.model) {
    plan.reasons.push_back(
        "memory and traffic are unknown: the model is given by URI, which "
        "only workers read");
  }
}

void CheckHeads(const PlanRequest& request, int group, PlanResult& result) {
  const auto report = [&](const std::string& path, const absl::Status& status) {
    if (status.ok()) return;
    result.problems.push_back({path, std::string(status.message())});
  };
  report(request.method_path,
         CheckHeadCut(*request.model, request.method, group));
  report(request.softmax_method_path,
         CheckHeadCut(*request.model, request.softmax_method, group));
}

}  // namespace

int64_t JobPlan::LargestRankBytes() const {
  int64_t largest = 0;
  for (const MemoryPlan& plan : memory) {
    largest = std::max(largest, plan.total_bytes());
  }
  return largest;
}

std::vector<TokenRange> JobPlan::RangesOf(int rank) const {
  std::vector<TokenRange> own;
  for (int part : PartsOf(layout, ranges, rank % group())) {
    own.push_back(ranges[part]);
  }
  return own;
}

PlanResult PlanJob(const PlanRequest& request) {
  PlanResult result;
  const int group = request.ranks / request.replicas;
  if (request.tokens < group) {
    result.problems.push_back(
        {request.tokens_path,
         absl::StrCat(request.tokens, " tokens cannot be cut into ", group,
                      " ranks: every rank holds at least one token")});
    return result;
  }
  result.plan.replicas = request.replicas;
  const LayoutChoice choice = LayoutOf(request);
  result.plan.layout = choice.layout;
  absl::StatusOr<std::vector<TokenRange>> ranges =
      CutTokens(result.plan.layout, request.tokens, group);
  LONGSPAN_CHECK_OK(ranges);
  result.plan.ranges = *std::move(ranges);
  if (request.model) {
    CheckHeads(request, group, result);
    if (!result.problems.empty()) return result;
  }
  ExplainLayout(request, choice.why, result.plan);
  if (!request.model) return result;
  PlanCosts(request, result.plan);
  PlanTraffic(request, result.plan);
  PlanRankMemory(request, result);
  return result;
}

}  // namespace longspan::coordinator
