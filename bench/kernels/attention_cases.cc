#include "bench/kernels/attention_cases.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "common/base/check.h"
#include "kernels/cost/workspace.h"

namespace longspan::bench {
namespace {

using kernels::BackendKind;
using kernels::ChunkTerms;
using kernels::DType;
using kernels::LinearAttentionStage;
using kernels::TensorView;
using kernels::Transition;

// fla's six registry shapes (benchmarks/ops/registry.py), then one sequence of
// growing length, which none of them covers.
std::vector<AttentionSize> LinearSizes() {
  return {{1, 8192, 96, 128},   {2, 16384, 16, 128},   {4, 2048, 16, 128},
          {4, 4096, 64, 128},   {8, 2048, 32, 256},    {8, 1024, 8, 64},
          {1, 32768, 32, 128},  {1, 32768, 16, 128},   {1, 131072, 16, 128},
          {1, 524288, 16, 128}, {1, 1048576, 16, 128}, {1, 2097152, 16, 128}};
}

std::vector<AttentionSize> SoftmaxSizes() {
  return {{4, 4096, 16, 128}, {1, 16384, 16, 128}, {1, 32768, 16, 128}};
}

AttentionSize Scaled(AttentionSize size, DType dtype, int64_t divisor) {
  size.tokens = std::max<int64_t>(size.tokens / divisor, 16);
  size.element_bytes = kernels::BytesPerElement(dtype);
  return size;
}

int64_t TensorBytes(const AttentionSize& size) {
  return size.batch * size.tokens * size.heads * size.dim * size.element_bytes;
}

struct LinearSet {
  kernels::LinearAttentionInputs inputs;
  TensorView o, d_o, forward_workspace;
  kernels::LinearAttentionGradients gradients;
  TensorView backward_workspace;
};

class LinearBench {
 public:
  LinearBench(BenchDevice& device, BackendKind kind, Transition transition,
              const AttentionSize& size, DType dtype)
      : device_(device),
        kind_(kind),
        transition_(transition),
        size_(size),
        dtype_(dtype) {}

  void AddSet(bool backward) {
    LinearSet set;
    set.inputs.transition = transition_;
    set.inputs.scale = 1.0 / std::sqrt(static_cast<double>(size_.dim));
    set.inputs.q = Operand();
    set.inputs.k = Operand();
    set.inputs.v = Operand();
    if (transition_ == Transition::kScalar) {
      set.inputs.log_gate = device_.Random(
          DType::kF32, {size_.batch, size_.tokens, size_.heads}, -0.1, 0.0);
    } else if (transition_ == Transition::kConstant) {
      set.inputs.log_decay =
          device_.Random(DType::kF32, {size_.heads}, -0.05, 0.0);
    }
    set.o = Output();
    set.forward_workspace = Workspace(LinearAttentionStage::kOutputs);
    if (backward) AddBackward(set);
    sets_.push_back(set);
  }

  void Run(int index, bool backward) {
    const LinearSet& set = sets_[index];
    kernels::LinearAttention& op = device_.backend().linear_attention();
    LONGSPAN_CHECK_OK(op.Outputs(set.inputs, {}, ChunkTerms::kAll, {set.o, {}},
                                 set.forward_workspace, device_.stream()));
    if (!backward) return;
    LONGSPAN_CHECK_OK(op.Gradients(set.inputs, {}, {set.d_o, {}},
                                   ChunkTerms::kAll, set.gradients,
                                   set.backward_workspace, device_.stream()));
  }

 private:
  void AddBackward(LinearSet& set) {
    set.d_o = Operand();
    set.gradients.d_q = Output();
    set.gradients.d_k = Output();
    set.gradients.d_v = Output();
    if (transition_ == Transition::kScalar) {
      set.gradients.d_log_gate =
          device_.Zero(DType::kF32, {size_.batch, size_.tokens, size_.heads});
    }
    set.backward_workspace = Workspace(LinearAttentionStage::kGradients);
  }
  TensorView Operand() {
    return device_.Random(
        dtype_, {size_.batch, size_.tokens, size_.heads, size_.dim}, -1.0, 1.0);
  }
  TensorView Output() {
    return device_.Zero(dtype_,
                        {size_.batch, size_.tokens, size_.heads, size_.dim});
  }
  TensorView Workspace(LinearAttentionStage stage) {
    return device_.Zero(DType::kU8,
                        {kernels::LinearAttentionWorkspaceBytes(
                            stage,
                            {size_.batch, size_.tokens, size_.heads, size_.dim,
                             size_.dim, size_.element_bytes},
                            kind_, 1)});
  }

  BenchDevice& device_;
  const BackendKind kind_;
  const Transition transition_;
  const AttentionSize size_;
  const DType dtype_;
  std::vector<LinearSet> sets_;
};

Case LinearCase(BackendKind kind, Transition transition, const char* name,
                const AttentionSize& size, DType dtype, bool backward) {
  const bool gated = transition == Transition::kScalar;
  Case result;
  result.op = std::string("linear ") + name +
              (backward ? " forward+backward" : " forward");
  result.size = size.name();
  result.cost = LinearForwardCost(size, gated);
  if (backward) result.cost = result.cost + LinearBackwardCost(size, gated);
  result.set_bytes = TensorBytes(size) * (backward ? 9 : 5);
  result.prepare = [=](BenchDevice& device, int sets) -> RunSet {
    auto bench =
        std::make_shared<LinearBench>(device, kind, transition, size, dtype);
    for (int i = 0; i < sets; ++i) bench->AddSet(backward);
    return [bench, backward](int set) { bench->Run(set, backward); };
  };
  return result;
}

struct SoftmaxSet {
  kernels::SoftmaxAttentionInputs inputs;
  TensorView o, lse, d_o, forward_workspace, backward_workspace;
  kernels::SoftmaxAttentionGradients gradients;
};

SoftmaxSet MakeSoftmaxSet(BenchDevice& device, BackendKind kind,
                          const AttentionSize& s, DType dtype, bool backward) {
  const auto random = [&] {
    return device.Random(dtype, {s.batch, s.tokens, s.heads, s.dim}, -1.0, 1.0);
  };
  const auto zero = [&] {
    return device.Zero(dtype, {s.batch, s.tokens, s.heads, s.dim});
  };
  const auto workspace = [&](bool stage) {
    return device.Zero(DType::kU8, {kernels::SoftmaxAttentionWorkspaceBytes(
                                       stage,
                                       {s.batch, s.tokens, s.tokens, s.heads,
                                        s.heads, s.dim, s.element_bytes},
                                       kind, 1)});
  };
  SoftmaxSet set;
  set.inputs.scale = 1.0 / std::sqrt(static_cast<double>(s.dim));
  set.inputs.q = random();
  set.inputs.k = random();
  set.inputs.v = random();
  set.o = zero();
  set.lse = device.Zero(DType::kF32, {s.batch, s.heads, s.tokens});
  set.forward_workspace = workspace(false);
  if (!backward) return set;
  set.d_o = random();
  set.gradients = {zero(), zero(), zero()};
  set.backward_workspace = workspace(true);
  return set;
}

void RunSoftmax(BenchDevice& device, const SoftmaxSet& set, bool backward) {
  kernels::SoftmaxAttention& op = device.backend().softmax_attention();
  LONGSPAN_CHECK_OK(op.Forward(set.inputs, set.o, set.lse,
                               set.forward_workspace, device.stream()));
  if (!backward) return;
  LONGSPAN_CHECK_OK(op.Backward(set.inputs, {set.o, set.lse}, set.d_o,
                                set.gradients, set.backward_workspace,
                                device.stream()));
}

Case SoftmaxCase(BackendKind kind, const AttentionSize& size, DType dtype,
                 bool backward) {
  Case result;
  result.op =
      backward ? "softmax causal forward+backward" : "softmax causal forward";
  result.size = size.name();
  result.cost = SoftmaxForwardCost(size);
  if (backward) result.cost = result.cost + SoftmaxBackwardCost(size);
  result.set_bytes = TensorBytes(size) * (backward ? 8 : 4);
  result.prepare = [=](BenchDevice& device, int sets) -> RunSet {
    auto all = std::make_shared<std::vector<SoftmaxSet>>();
    for (int i = 0; i < sets; ++i) {
      all->push_back(MakeSoftmaxSet(device, kind, size, dtype, backward));
    }
    return [all, backward, &device](int set) {
      RunSoftmax(device, (*all)[set], backward);
    };
  };
  return result;
}

}  // namespace

std::vector<Case> LinearAttentionCases(BackendKind backend, DType dtype,
                                       int64_t tokens_divisor) {
  constexpr std::pair<Transition, const char*> kTransitions[] = {
      {Transition::kIdentity, "identity"},
      {Transition::kConstant, "constant"},
      {Transition::kScalar, "scalar"}};
  std::vector<Case> cases;
  for (const AttentionSize& full : LinearSizes()) {
    const AttentionSize size = Scaled(full, dtype, tokens_divisor);
    for (const auto& [transition, name] : kTransitions) {
      for (bool backward : {false, true}) {
        cases.push_back(
            LinearCase(backend, transition, name, size, dtype, backward));
      }
    }
  }
  return cases;
}

std::vector<Case> SoftmaxAttentionCases(BackendKind backend, DType dtype,
                                        int64_t tokens_divisor) {
  std::vector<Case> cases;
  for (const AttentionSize& full : SoftmaxSizes()) {
    const AttentionSize size = Scaled(full, dtype, tokens_divisor);
    for (bool backward : {false, true}) {
      cases.push_back(SoftmaxCase(backend, size, dtype, backward));
    }
  }
  return cases;
}

}  // namespace longspan::bench
