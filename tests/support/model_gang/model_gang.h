// A whole model on a gang of threads: one training pass (forward, loss,
// backward, gradient sync) over one sequence, with everything that the ranks
// hold brought together, so that gangs of different sizes can be compared
// token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "common/model_spec/memory_plan.h"
#include "common/model_spec/model_spec.h"
#include "kernels/api/backend.h"
#include "kernels/cost/backend_kind.h"
#include "worker/collective/process_group.h"
#include "worker/model/model.h"
#include "worker/model/parameters.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"
#include "worker/tensor/arena.h"

namespace longspan::testing {

struct GangCase {
  ModelSpec spec;  // resolved
  int64_t batch = 1;
  int64_t tokens = 64;
  std::vector<int64_t> document_starts;
  kernels::DType dtype = kernels::DType::kF64;
  kernels::BackendKind backend = kernels::BackendKind::kCpu;
  SequenceParallel method = SequenceParallel::kLasp2;
  SoftmaxParallel softmax_method = SoftmaxParallel::kGather;
  GatherSettings state_gather;
  TokenLayout layout = TokenLayout::kContiguous;
  // The parts of the sequence; empty: CutTokens.
  std::vector<TokenRange> ranges;
  std::vector<int32_t> ids;      // [batch * tokens], batch-major
  std::vector<int32_t> targets;  // the same; negative: not scored
  uint64_t seed = 7;             // of the parameters
  // Called on every rank's parameters after their initialisation.
  std::function<void(worker::Parameters&)> edit;
};

// A case with random tokens, a few of them not scored.
GangCase MakeGangCase(const ModelSpec& spec, int64_t batch, int64_t tokens);

// What one rank saw.
struct RankReport {
  worker::TransferCounters counters;
  std::vector<worker::Arena::Allocation> allocations;
  int64_t arena_high_water = 0;
  MemoryPlan plan;
};

struct GangResult {
  double loss = 0;                  // summed over tokens and ranks
  std::vector<double> hidden;       // [B, N, d]
  std::vector<double> d_embedding;  // [B, N, d]
  std::vector<double> gradients;    // flat
  std::vector<RankReport> ranks;
};

// CHECK-fails on any error; `ranks` threads.
GangResult TrainOnce(const GangCase& gang_case, int ranks);

// The run shape of one rank, as the planner would be asked.
RunShape ShapeOf(const GangCase& gang_case, RunMode mode,
                 const std::vector<TokenRange>& ranges, int rank);
std::vector<TokenRange> RangesOf(const GangCase& gang_case, int ranks);

// What a rank computes with, owning all of it.
class RankFixture {
 public:
  RankFixture(const GangCase& gang_case, worker::ProcessGroup* group,
              int64_t arena_bytes, bool with_gradients);

  const worker::RankContext& context() const { return context_; }
  worker::RankContext Alone() const;  // the same without the group
  worker::Arena& arena() { return arena_; }
  worker::Parameters& parameters() { return *parameters_; }
  worker::Model& model() { return *model_; }

 private:
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<kernels::Stream> stream_;
  worker::Arena arena_;
  std::unique_ptr<worker::Parameters> parameters_;
  std::unique_ptr<worker::Model> model_;
  worker::RankContext context_;
};

std::vector<double> ToDoubles(
    kernels::ConstTensorView contiguous,
    const worker::Transfer& transfer = worker::Transfer());

// This rank's rows out of [B, N] values, batch-major.
std::vector<int32_t> LocalRows(const std::vector<int32_t>& values,
                               const worker::SequenceShard& shard);

}  // namespace longspan::testing
