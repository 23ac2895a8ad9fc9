// Every barrier, wait, copy, matrix load and launch of the kernels is broken in
// turn: a comparison with the sound result notices. Each entry point is swept
// by itself, because they share lines.
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "tests/kernels/cuda/linear_attention/cuda_linear_attention.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/cuda_emulator/fault_sweep.h"

namespace longspan::kernels::cuda {
namespace {

using emulated::PlantedFault;
using emulated::Primitive;
using emulated::PrimitiveSite;

using Stage = LinearAttentionStage;

constexpr int kOrders = 20;

// What a call wrote; empty when a launch failed.
using Written = std::vector<std::vector<double>>;
using Call = std::function<Written()>;

// The last chunk is short.
LinearAttentionCase Case(int64_t tokens) {
  LinearAttentionCase c;
  c.tokens = tokens;
  c.key_dim = 24;
  c.value_dim = 40;
  c.transition = Transition::kScalar;
  return c;
}

// Launches that do not matter to a range of one segment have a test below.
// SyncWarp among the tiles only keeps the compiler from loading the addresses
// of a whole state at once: lanes read nothing of each other there.
bool IsInsideABlock(const PrimitiveSite& site) {
  const bool keeps_loads_apart = site.primitive == Primitive::kSyncWarp &&
                                 site.file == "linear_attention_tile.cuh";
  return site.primitive != Primitive::kLaunch && !keeps_loads_apart;
}

bool IsLaunch(const PrimitiveSite& site) {
  return site.primitive == Primitive::kLaunch;
}

// A warp's lanes have met in the product's last LoadMatrix when they write over
// what it read: the first SyncWarp of the scan says so to the compiler and to
// PTX's memory model, and no order can show it missing.
bool FollowsACollective(const PrimitiveSite& site) {
  return site.primitive == Primitive::kSyncWarp &&
         site.file == "linear_attention_scan.cuh";
}

class CudaLinearAttentionLaunchFaults : public testing::Test {
 protected:
  // What nobody wrote is NaN in every run.
  static HostTensor Workspace(const LinearAttentionProblem& problem,
                              Stage stage) {
    return HostTensor::Workspace(LinearAttentionWorkspaceBytes(
        stage, problem.shape(), BackendKind::kCuda, 1));
  }

  void ExpectNoticed(const Call& call,
                     bool (*wanted)(const PrimitiveSite&) = &IsInsideABlock) {
    const Written sound = call();
    ASSERT_FALSE(sound.empty());
    const auto planted =
        emulated::SweepFaults([&] { return call() == sound; }, kOrders, wanted);
    EXPECT_FALSE(planted.empty());
    int following = 0;
    for (const PlantedFault& fault : planted) {
      if (fault.caught == 0 && FollowsACollective(fault.site)) {
        ++following;
        continue;
      }
      EXPECT_GT(fault.caught, 0) << fault;
    }
    EXPECT_LE(following, 1);
  }

  Written Gradients(const LinearAttentionProblem& problem, Passes passes) {
    const LinearAttentionCase& c = problem.case_of();
    const HostTensor workspace = Workspace(problem, Stage::kGradients);
    HostTensor d_q(problem.dtype(), {1, c.tokens, 1, c.key_dim});
    HostTensor d_k(problem.dtype(), {1, c.tokens, 1, c.key_dim});
    HostTensor d_v(problem.dtype(), {1, c.tokens, 1, c.value_dim});
    HostTensor d_gate(DType::kF32, {1, c.tokens, 1});
    HostTensor d_initial(DType::kF32, {1, 1, c.key_dim, c.value_dim});
    const auto run = [&](ChunkTerms terms) {
      return device_.op()
          .Gradients(problem.inputs(), problem.initial_state(),
                     problem.output_gradients(), terms,
                     {d_q.view(), d_k.view(), d_v.view(), d_gate.view(),
                      d_initial.view()},
                     workspace.view(), device_.stream())
          .ok();
    };
    const bool ran = passes == Passes::kOne ? run(ChunkTerms::kAll)
                                            : run(ChunkTerms::kIntraChunk) &&
                                                  run(ChunkTerms::kInterChunk);
    if (!ran) return {};
    return {d_q.ToDoubles(), d_k.ToDoubles(), d_v.ToDoubles(),
            d_gate.ToDoubles(), d_initial.ToDoubles()};
  }

  Device device_;
};

class CudaLinearAttentionFaults : public CudaLinearAttentionLaunchFaults,
                                  public testing::WithParamInterface<DType> {};

// Four chunks, so that the ring of three stages turns.
TEST_P(CudaLinearAttentionFaults, OfSummarise) {
  const LinearAttentionProblem problem(Case(210), GetParam());
  ExpectNoticed([&]() -> Written {
    const HostTensor workspace = Workspace(problem, Stage::kSummarise);
    HostTensor state(DType::kF32, {1, 1, 24, 40}), decay(DType::kF32, {1, 1});
    const absl::Status status =
        device_.op().Summarise(problem.inputs(), {state.view(), decay.view()},
                               workspace.view(), device_.stream());
    if (!status.ok()) return {};
    return {state.ToDoubles(), decay.ToDoubles()};
  });
}

// Three chunks, so that both stages turn.
constexpr int64_t kTokens = 140;

TEST_P(CudaLinearAttentionFaults, OfOutputs) {
  const LinearAttentionProblem problem(Case(kTokens), GetParam());
  for (ChunkTerms terms : {ChunkTerms::kAll, ChunkTerms::kInterChunk}) {
    SCOPED_TRACE(terms == ChunkTerms::kAll ? "all" : "inter");
    ExpectNoticed([&]() -> Written {
      const HostTensor workspace = Workspace(problem, Stage::kOutputs);
      HostTensor o(GetParam(), {1, kTokens, 1, 40});
      HostTensor final_state(DType::kF32, {1, 1, 24, 40});
      FillUniform(1, -1.0, 1.0, o.view());  // what the first pass wrote
      const absl::Status status = device_.op().Outputs(
          problem.inputs(), problem.initial_state(), terms,
          {o.view(), final_state.view()}, workspace.view(), device_.stream());
      if (!status.ok()) return {};
      return {o.ToDoubles(), final_state.ToDoubles()};
    });
  }
}

TEST_P(CudaLinearAttentionFaults, OfGradients) {
  const LinearAttentionProblem problem(Case(kTokens), GetParam());
  ExpectNoticed([&] { return Gradients(problem, Passes::kOne); });
}

TEST_P(CudaLinearAttentionFaults, OfDecode) {
  const LinearAttentionProblem problem(Case(3), GetParam());
  HostTensor slots(DType::kI32, {1});
  slots.view().data_as<int32_t>()[0] = 1;
  ExpectNoticed([&]() -> Written {
    HostTensor pool(DType::kF32, {2, 1, 24, 40});
    FillUniform(9, -1.0, 1.0, pool.view());
    HostTensor o(GetParam(), {1, 3, 1, 40});
    const absl::Status status =
        device_.op().Decode(problem.inputs(), slots.view(), pool.view(),
                            o.view(), device_.stream());
    if (!status.ok()) return {};
    return {pool.ToDoubles(), o.ToDoubles()};
  });
}

// Two segments, so that the first passes and folds matter; in two passes, so
// that decays over segments do.
TEST_F(CudaLinearAttentionLaunchFaults, OfGradients) {
  const LinearAttentionProblem problem(Case(1030), DType::kBF16);
  ASSERT_EQ(PlanCudaLinearAttention(Stage::kGradients, problem.shape(), true)
                .segments,
            2);
  ExpectNoticed([&] { return Gradients(problem, Passes::kTwo); }, &IsLaunch);
}

// Its threads do not meet.
TEST_F(CudaLinearAttentionLaunchFaults, OfFold) {
  HostTensor states(DType::kF32, {5, 2, 3, 8, 8}),
      decays(DType::kF32, {5, 2, 3});
  FillUniform(1, -1.0, 1.0, states.view());
  FillUniform(2, -2.0, 0.0, decays.view());
  ExpectNoticed(
      [&]() -> Written {
        HostTensor result(DType::kF32, {2, 3, 8, 8});
        const absl::Status status =
            device_.op().FoldSummaries(states.view(), decays.view(), {}, false,
                                       result.view(), device_.stream());
        if (!status.ok()) return {};
        return {result.ToDoubles()};
      },
      &IsLaunch);
}

// bf16 goes through asynchronous copies, f32 through the general tiles.
INSTANTIATE_TEST_SUITE_P(Types, CudaLinearAttentionFaults,
                         testing::Values(DType::kBF16, DType::kF32),
                         [](const testing::TestParamInfo<DType>& info) {
                           return std::string(DTypeName(info.param));
                         });

}  // namespace
}  // namespace longspan::kernels::cuda
