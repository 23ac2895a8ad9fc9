// The plan of a job before anything runs: token ranges, memory of every rank,
// payload bytes of every layer, from common/model_spec alone. Workers assert
// the ranges and report what they measured beside the figures.
//
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/model_spec/memory_plan.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/token_layout.h"
#include "common/model_spec/token_range.h"

namespace longspan::coordinator {

struct PlanRequest {
  RunMode mode = RunMode::kTrain;
  // Absent when only the workers can read it (a model given by URI).
  std::optional<ModelSpec> model;
  // Tokens processed at a time, over all ranks: the sequence, or a piece.
  int64_t tokens = 0;
  int64_t batch = 1;  // sequences of a step, over all replicas
  int ranks = 1;
  // Data-parallel copies of the gang's sequence: divides ranks and batch.
  int replicas = 1;
  int64_t element_bytes = 4;
  std::string backend = "cpu";
  int threads = 1;
  SequenceParallel method = SequenceParallel::kLasp2;
  SoftmaxParallel softmax_method = SoftmaxParallel::kGather;
  GatherSettings state_gather;
  // Absent: the planner chooses (common/model_spec/layout_choice.h). For train
  // jobs.
  std::optional<TokenLayout> layout = TokenLayout::kContiguous;
  bool carries_state = false;  // from piece to piece
  int64_t context_tokens = 0;  // the longest text, when the state is carried
  // Where mistakes are reported: the fields that give `tokens` and the methods.
  std::string tokens_path;
  std::string method_path;
  std::string softmax_method_path;
  // Of the largest registered device of the backend; 0: unknown.
  int64_t device_memory_bytes = 0;
};

struct LayerTraffic {
  int layer = 0;
  std::string mixer;                    // "simple_gla", "softmax"
  std::vector<int64_t> forward_bytes;   // sent by each rank
  std::vector<int64_t> backward_bytes;  // sent by each rank
  int64_t halo_bytes = 0;               // sent by all ranks together
};

struct JobPlan {
  int replicas = 1;
  TokenLayout layout = TokenLayout::kContiguous;
  // The parts of the sequence, whose owners are the ranks of a replica. Those
  // are neighbours: rank r of all is rank r % group() of replica r / group().
  std::vector<TokenRange> ranges;
  std::vector<MemoryPlan> memory;  // by rank; empty: model unknown
  std::vector<LayerTraffic> layers;
  int64_t parameter_count = 0;
  int64_t flops_per_step = 0;
  int64_t gradient_sync_bytes_per_rank = 0;  // sent by the busiest rank
  std::vector<std::string> reasons;

  int group() const { return RankCount(layout, ranges.size()); }
  int ranks() const { return replicas * group(); }
  // One or two, in the order of the rank's rows.
  std::vector<TokenRange> RangesOf(int rank) const;
  // Of the largest rank; 0: model unknown.
  int64_t LargestRankBytes() const;
};

// One reason why a job cannot run: the field and the numbers.
struct PlanProblem {
  std::string path;
  std::string message;
};

struct PlanResult {
  JobPlan plan;
  std::vector<PlanProblem> problems;  // empty: it can run
};

PlanResult PlanJob(const PlanRequest& request);

}  // namespace longspan::coordinator
