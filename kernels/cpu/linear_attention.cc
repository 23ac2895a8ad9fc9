#include "kernels/api/linear_attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/bfloat16.h"
#include "kernels/api/linear_attention_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/linear_attention_plan.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/cpu/linear_attention_bf16_decode.h"
#include "kernels/cpu/linear_attention_kernels.h"

namespace longspan::kernels {
namespace {

// Unlike the CPU's other ops, these take bf16 operands.
constexpr OperandRules kOperands = {true, true, true};

using Sizes = LinearAttentionSizes;
using Stage = LinearAttentionStage;

LinearAttentionDecay DecayOf(Transition transition) {
  if (transition == Transition::kDense) return LinearAttentionDecay::kMatrix;
  return transition == Transition::kVector ? LinearAttentionDecay::kChannel
                                           : LinearAttentionDecay::kHead;
}

LinearAttentionShape ShapeOf(Transition transition, const Sizes& sizes) {
  return {sizes.batch,         sizes.tokens,    sizes.heads,
          sizes.key_dim,       sizes.value_dim, BytesPerElement(sizes.dtype),
          DecayOf(transition), sizes.key_heads};
}

template <typename T>
const LinearAttentionKernels<T>& KernelsFor(Transition transition,
                                            InstructionSet set) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return Bf16AttentionFor(set);
  } else {
    if (transition == Transition::kDense) return DeltaAttentionFor<T>(set);
    return transition == Transition::kVector ? VectorAttentionFor<T>(set)
                                             : LinearAttentionFor<T>(set);
  }
}

absl::Status CheckType(const char* op, Transition transition,
                       const Sizes& sizes) {
  if (sizes.dtype != DType::kBF16 ||
      DecayOf(transition) == LinearAttentionDecay::kHead) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(
      absl::StrCat(op, ": on the CPU, ",
                   transition == Transition::kVector ? "vector gates need"
                                                     : "the delta rule needs",
                   " f32 or f64 operands, not bf16"));
}

// Their gradients would be rounded once more for every head.
absl::Status CheckSharedKeys(const Sizes& sizes) {
  if (sizes.dtype != DType::kBF16 || sizes.key_heads == sizes.heads) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(absl::StrCat(
      "Gradients: on the CPU, ", sizes.heads, " heads that share ",
      sizes.key_heads, " of q and k need f32 or f64 operands, not bf16"));
}

absl::Status CheckWorkspace(const char* op, Stage stage, Transition transition,
                            const Sizes& sizes, int threads,
                            TensorView workspace) {
  RETURN_IF_ERROR(CheckType(op, transition, sizes));
  OperandCheck check(op);
  check.Workspace(workspace, LinearAttentionWorkspaceBytes(
                                 stage, ShapeOf(transition, sizes),
                                 BackendKind::kCpu, threads));
  return check.status();
}

// Operand [B, T, H, ...] at (b, token 0, h), or state [B, H, Dk, ...] when
// `row_dim` is 2: element rows are `row_dim` strides apart.
template <typename Field, typename T, typename View>
Field FieldAt(const View& view, int64_t b, int64_t h, int head_dim,
              int row_dim) {
  if (view.is_null()) return {};
  return {view.template data_as<T>() + b * view.stride(0) +
              h * view.stride(head_dim),
          view.stride(row_dim)};
}

// The delta rule's terms all depend on the entering state: kInterChunk computes
// them together, over the zeros that kIntraChunk has left.
bool LeavesTermsToStates(const LinearAttentionInputs& inputs,
                         ChunkTerms terms) {
  return inputs.transition == Transition::kDense &&
         terms == ChunkTerms::kIntraChunk;
}

template <typename T>
void SetZero(const TensorView& view, int dim, T* data) {
  for (int64_t i = 0; i < view.size(dim); ++i, data += view.stride(dim)) {
    if (dim + 1 < view.rank()) {
      SetZero(view, dim + 1, data);
    } else {
      *data = T{0};
    }
  }
}

void SetZero(const TensorView& view) {
  if (view.is_null()) return;
  if (view.dtype() == DType::kF64)
    return SetZero(view, 0, view.data_as<double>());
  SetZero(view, 0, view.data_as<float>());
}

static_assert(kSnapshotTokens % kChunk == 0, "snapshots lie at chunk borders");

// Fills a sequence's operands for one (b, h).
template <typename T>
class SequenceBuilder {
 public:
  using Sequence = LinearAttentionSequence<T>;
  using Operand = typename Sequence::Operand;
  using Result = typename Sequence::Result;
  using Sum = typename Sequence::Sum;
  using SumOperand = typename Sequence::SumOperand;
  using SumResult = typename Sequence::SumResult;

  SequenceBuilder(int64_t b, int64_t h) : b_(b), h_(h) {}

  // Of the head of q and k that the head reads.
  template <typename View>
  auto KeyTokens(const View& view, const Sizes& sizes) const {
    return SequenceBuilder(b_, sizes.KeyHeadOf(h_)).Tokens(view);
  }

  Operand Tokens(const ConstTensorView& view) const {
    return FieldAt<Operand, T>(view, b_, h_, 2, 1);
  }
  Result Tokens(const TensorView& view) const {
    return FieldAt<Result, T>(view, b_, h_, 2, 1);
  }
  SumOperand Gates(const ConstTensorView& view) const {
    return FieldAt<SumOperand, Sum>(view, b_, h_, 2, 1);
  }
  SumResult Gates(const TensorView& view) const {
    return FieldAt<SumResult, Sum>(view, b_, h_, 2, 1);
  }
  SumOperand State(const ConstTensorView& view) const {
    return FieldAt<SumOperand, Sum>(view, b_, h_, 1, 2);
  }
  SumResult State(const TensorView& view) const {
    return FieldAt<SumResult, Sum>(view, b_, h_, 1, 2);
  }

  void SetSnapshots(const LinearAttentionOutputs& outputs,
                    Sequence& sequence) const {
    if (outputs.prefix_states.is_null()) return;
    sequence.prefix_states = State(outputs.prefix_states.Select(1, 0));
    sequence.snapshot_interval = outputs.snapshot_interval;
    sequence.snapshot_stride = outputs.prefix_states.stride(1);
  }

  Sum* Row(const TensorView& view) const {
    if (view.is_null()) return nullptr;
    return view.data_as<Sum>() + b_ * view.stride(0) + h_ * view.stride(1);
  }

  Sequence Inputs(const LinearAttentionInputs& inputs, const Sizes& sizes,
                  ChunkTerms terms) const {
    Sequence sequence;
    sequence.tokens = sizes.tokens;
    sequence.key_dim = sizes.key_dim;
    sequence.value_dim = sizes.value_dim;
    sequence.scale = inputs.scale;
    sequence.document_starts = inputs.documents.starts;
    sequence.document_count = inputs.documents.count;
    const bool all = inputs.transition == Transition::kDense;
    sequence.intra = all || terms != ChunkTerms::kInterChunk;
    sequence.inter = all || terms != ChunkTerms::kIntraChunk;
    sequence.q = KeyTokens(inputs.q, sizes);
    sequence.k = KeyTokens(inputs.k, sizes);
    sequence.v = Tokens(inputs.v);
    SetDecay(inputs, sequence);
    return sequence;
  }

 private:
  void SetDecay(const LinearAttentionInputs& inputs, Sequence& sequence) const {
    if (inputs.transition == Transition::kConstant) {
      const ConstTensorView& view = inputs.log_decay;
      sequence.decay = DecayKind::kConstant;
      sequence.log_decay = std::max(
          kLowestLogGate,
          static_cast<double>(view.data_as<Sum>()[h_ * view.stride(0)]));
    } else if (!inputs.log_gate.is_null() &&
               inputs.transition != Transition::kIdentity) {
      sequence.decay = inputs.log_gate.rank() == 4 ? DecayKind::kPerChannel
                                                   : DecayKind::kPerToken;
      sequence.log_gate = Gates(inputs.log_gate);
    }
    if (inputs.transition == Transition::kDense) {
      sequence.beta = Gates(inputs.beta);
    }
  }

  const int64_t b_;
  const int64_t h_;
};

// Where heads share q and k, their d_q and d_k pass through a chunk's scratch
// and are summed in the order of the heads, by the thread that has them all.
template <typename T>
void ShareKeyGradients(const Sizes& sizes, int64_t first,
                       LinearAttentionGroup<T>& group) {
  const int64_t shares = sizes.heads / sizes.key_heads;
  if (shares == 1) return;
  const int64_t size = group.plan.key_gradient_elements / 2;
  T* scratch = group.scratch + group.plan.shared_elements - 2 * size;
  for (int64_t i = 0; i < group.count; ++i) {
    LinearAttentionSequence<T>& head = group.heads[i];
    head.shared_d_q = head.d_q;
    head.shared_d_k = head.d_k;
    head.adds_shared = !head.intra || (first + i) % shares != 0;
    head.d_q = {scratch, size / kChunk, kChunk - 1};
    head.d_k = {scratch + size, size / kChunk, kChunk - 1};
  }
}

// One call: cuts the workspace into per-thread scratch and the heads of each
// batch element into groups, and runs `body` on every group whose heads `fill`
// has completed.
class GroupLoop {
 public:
  GroupLoop(Stage stage, Transition transition, const Sizes& sizes,
            TensorView workspace, Stream& stream)
      : sizes_(sizes),
        pool_(CpuStream::PoolOf(stream)),
        plan_(PlanLinearAttention(stage, ShapeOf(transition, sizes),
                                  pool_.threads())),
        workspace_(workspace) {}

  // fill(builder, sequence), body(group, b, first head)
  template <typename T, typename Fill, typename Body>
  void Run(const LinearAttentionInputs& inputs, ChunkTerms terms,
           const Fill& fill, const Body& body) const {
    const int64_t step = plan_.task_heads;
    const int64_t tasks = (sizes_.heads + step - 1) / step;
    pool_.ParallelFor(sizes_.batch * tasks, [&](int64_t index, int thread) {
      const int64_t b = index / tasks;
      const int64_t begin = index % tasks * step;
      const int64_t end = std::min(begin + step, sizes_.heads);
      LinearAttentionGroup<T> group;
      group.plan = plan_;
      group.scratch = Scratch<T>(thread);
      for (int64_t h = begin; h < end; h += group.count) {
        group.count = std::min(plan_.heads_together, end - h);
        for (int64_t i = 0; i < group.count; ++i) {
          const SequenceBuilder<T> builder(b, h + i);
          group.heads[i] = builder.Inputs(inputs, sizes_, terms);
          fill(builder, group.heads[i]);
        }
        body(group, b, h);
      }
    });
  }

 private:
  template <typename T>
  T* Scratch(int thread) const {
    return static_cast<T*>(workspace_.data()) + thread * plan_.scratch_elements;
  }

  const Sizes& sizes_;
  ThreadPool& pool_;
  const LinearAttentionPlan plan_;
  const TensorView workspace_;
};

// Calls fn with a value of the type of operands, or of sums.
template <typename Fn>
void WithSumType(DType dtype, const Fn& fn) {
  if (dtype == DType::kF64) {
    fn(double{});
  } else {
    fn(float{});
  }
}

template <typename Fn>
void WithType(DType dtype, const Fn& fn) {
  if (dtype == DType::kBF16) return fn(BFloat16{});
  WithSumType(dtype, fn);
}

class CpuLinearAttention : public LinearAttention {
 public:
  explicit CpuLinearAttention(InstructionSet set) : set_(set) {}

  absl::Status Summarise(const LinearAttentionInputs& inputs,
                         const LinearAttentionSummary& summary,
                         TensorView workspace, Stream& stream) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckSummarise(inputs, summary, kOperands));
    RETURN_IF_ERROR(
        CheckWorkspace("Summarise", Stage::kSummarise, inputs.transition, sizes,
                       CpuStream::PoolOf(stream).threads(), workspace));
    const GroupLoop loop(Stage::kSummarise, inputs.transition, sizes, workspace,
                         stream);
    WithType(sizes.dtype, [&](auto type) {
      using T = decltype(type);
      const auto& kernels = KernelsFor<T>(inputs.transition, set_);
      loop.Run<T>(
          inputs, ChunkTerms::kAll,
          [&](const auto& builder, auto& sequence) {
            sequence.final_state = builder.State(summary.state);
            sequence.log_decay_sums = builder.Row(summary.log_decay);
            sequence.transition = builder.State(summary.transition);
          },
          [&](auto& group, int64_t, int64_t) {
            kernels.summarise(group);
            if (inputs.documents.empty() || summary.log_decay.is_null()) return;
            for (int64_t i = 0; i < group.count; ++i) {
              std::fill_n(
                  group.heads[i].log_decay_sums,
                  inputs.transition == Transition::kVector ? sizes.key_dim : 1,
                  -INFINITY);
            }
          });
    });
    return absl::OkStatus();
  }

  absl::Status Outputs(const LinearAttentionInputs& inputs,
                       ConstTensorView initial_state, ChunkTerms terms,
                       const LinearAttentionOutputs& outputs,
                       TensorView workspace, Stream& stream) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckOutputs(inputs, initial_state, outputs, kOperands));
    RETURN_IF_ERROR(
        CheckWorkspace("Outputs", Stage::kOutputs, inputs.transition, sizes,
                       CpuStream::PoolOf(stream).threads(), workspace));
    if (LeavesTermsToStates(inputs, terms)) {
      SetZero(outputs.o);
      return absl::OkStatus();
    }
    const GroupLoop loop(Stage::kOutputs, inputs.transition, sizes, workspace,
                         stream);
    WithType(sizes.dtype, [&](auto type) {
      using T = decltype(type);
      const auto& kernels = KernelsFor<T>(inputs.transition, set_);
      loop.Run<T>(
          inputs, terms,
          [&](const auto& builder, auto& sequence) {
            sequence.initial_state = builder.State(initial_state);
            sequence.o = builder.Tokens(outputs.o);
            sequence.final_state = builder.State(outputs.final_state);
            builder.SetSnapshots(outputs, sequence);
          },
          [&](auto& group, int64_t, int64_t) { kernels.outputs(group); });
    });
    return absl::OkStatus();
  }

  absl::Status SummariseBackward(const LinearAttentionInputs& inputs,
                                 ConstTensorView d_o, TensorView d_state,
                                 TensorView workspace,
                                 Stream& stream) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckSummariseBackward(inputs, d_o, d_state, kOperands));
    RETURN_IF_ERROR(CheckWorkspace(
        "SummariseBackward", Stage::kSummariseBackward, inputs.transition,
        sizes, CpuStream::PoolOf(stream).threads(), workspace));
    const GroupLoop loop(Stage::kSummariseBackward, inputs.transition, sizes,
                         workspace, stream);
    WithType(sizes.dtype, [&](auto type) {
      using T = decltype(type);
      const auto& kernels = KernelsFor<T>(inputs.transition, set_);
      loop.Run<T>(
          inputs, ChunkTerms::kAll,
          [&](const auto& builder, auto& sequence) {
            sequence.d_o = builder.Tokens(d_o);
            sequence.d_initial_state = builder.State(d_state);
          },
          [&](auto& group, int64_t, int64_t) {
            kernels.summarise_backward(group);
          });
    });
    return absl::OkStatus();
  }

  absl::Status Gradients(const LinearAttentionInputs& inputs,
                         ConstTensorView initial_state,
                         const LinearAttentionOutputGradients& output_gradients,
                         ChunkTerms terms,
                         const LinearAttentionGradients& gradients,
                         TensorView workspace, Stream& stream) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckGradients(inputs, initial_state, output_gradients,
                                    gradients, kOperands));
    RETURN_IF_ERROR(CheckSharedKeys(sizes));
    RETURN_IF_ERROR(
        CheckWorkspace("Gradients", Stage::kGradients, inputs.transition, sizes,
                       CpuStream::PoolOf(stream).threads(), workspace));
    if (LeavesTermsToStates(inputs, terms)) {
      for (const TensorView& view :
           {gradients.d_q, gradients.d_k, gradients.d_v, gradients.d_log_gate,
            gradients.d_beta}) {
        SetZero(view);
      }
      return absl::OkStatus();
    }
    const GroupLoop loop(Stage::kGradients, inputs.transition, sizes, workspace,
                         stream);
    WithType(sizes.dtype, [&](auto type) {
      using T = decltype(type);
      const auto& kernels = KernelsFor<T>(inputs.transition, set_);
      loop.Run<T>(
          inputs, terms,
          [&](const auto& builder, auto& sequence) {
            sequence.initial_state = builder.State(initial_state);
            sequence.d_o = builder.Tokens(output_gradients.d_o);
            sequence.d_final_state =
                builder.State(output_gradients.d_final_state);
            sequence.d_q = builder.KeyTokens(gradients.d_q, sizes);
            sequence.d_k = builder.KeyTokens(gradients.d_k, sizes);
            sequence.d_v = builder.Tokens(gradients.d_v);
            sequence.d_log_gate = builder.Gates(gradients.d_log_gate);
            sequence.d_beta = builder.Gates(gradients.d_beta);
            sequence.d_initial_state = builder.State(gradients.d_initial_state);
          },
          [&](auto& group, int64_t, int64_t first) {
            ShareKeyGradients(sizes, first, group);
            kernels.gradients(group);
          });
    });
    return absl::OkStatus();
  }

  absl::Status FoldSummaries(ConstTensorView states, ConstTensorView decays,
                             ConstTensorView initial_state, bool reverse,
                             TensorView state, Stream& stream) override {
    RETURN_IF_ERROR(CheckFoldSummaries(states, decays, initial_state, state));
    const int64_t heads = state.size(1);
    WithSumType(state.dtype(), [&](auto type) {
      using T = decltype(type);
      CpuStream::PoolOf(stream).ParallelFor(
          state.size(0) * heads, [&](int64_t index, int) {
            FoldHead<T>(states, decays, initial_state, reverse, index / heads,
                        index % heads, state);
          });
    });
    return absl::OkStatus();
  }

  absl::Status Decode(const LinearAttentionInputs& inputs,
                      ConstTensorView slots, TensorView state_pool,
                      TensorView o, Stream& stream) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckDecode(inputs, slots, state_pool, o, kOperands));
    const auto* ids = slots.data_as<int32_t>();
    WithType(sizes.dtype, [&](auto type) {
      using T = decltype(type);
      CpuStream::PoolOf(stream).ParallelFor(
          sizes.batch * sizes.heads, [&](int64_t index, int) {
            const int64_t b = index / sizes.heads;
            const int64_t h = index % sizes.heads;
            const SequenceBuilder<T> builder(b, h);
            auto sequence = builder.Inputs(inputs, sizes, ChunkTerms::kAll);
            sequence.o = builder.Tokens(o);
            const int64_t slot = ids[b * slots.stride(0)];
            sequence.final_state =
                SequenceBuilder<T>(slot, h).State(state_pool);
            if constexpr (std::is_same_v<T, BFloat16>) {
              DecodeBf16(KernelsFor<float>(inputs.transition, set_), sequence);
            } else {
              KernelsFor<T>(inputs.transition, set_).decode(sequence);
            }
          });
    });
    return absl::OkStatus();
  }

 private:
  // state[b, h] = initial, then for each summary  S <- e^A S + S_ext.
  template <typename T>
  static void FoldHead(const ConstTensorView& states,
                       const ConstTensorView& decays,
                       const ConstTensorView& initial_state, bool reverse,
                       int64_t b, int64_t h, const TensorView& state) {
    const SequenceBuilder<T> builder(b, h);
    const auto to = builder.State(state);
    const auto from = builder.State(initial_state);
    const int64_t rows = state.size(2);
    const int64_t cols = state.size(3);
    for (int64_t c = 0; c < rows; ++c) {
      T* row = to.data + c * to.stride;
      if (from.data == nullptr) {
        std::fill(row, row + cols, T{0});
      } else if (from.data != to.data) {
        std::copy_n(from.data + c * from.stride, cols, row);
      }
    }
    const int64_t count = states.is_null() ? 0 : states.size(0);
    for (int64_t n = 0; n < count; ++n) {
      const int64_t i = reverse ? count - 1 - n : n;
      const ConstTensorView decay =
          decays.Select(0, i).Select(0, b).Select(0, h);
      const auto added = builder.State(states.Select(0, i));
      if (decay.rank() == 2) {
        FoldMatrix<T>(decay, added, reverse, rows, cols, to);
      } else {
        FoldDecays<T>(decay, added, rows, cols, to);
      }
    }
  }

  template <typename T>
  using StateView = typename LinearAttentionSequence<T>::Result;
  template <typename T>
  using ConstStateView = typename LinearAttentionSequence<T>::Operand;

  // S <- e^A S + S_ext; A is a number or one for each row.
  template <typename T>
  static void FoldDecays(const ConstTensorView& decay,
                         const ConstStateView<T>& added, int64_t rows,
                         int64_t cols, const StateView<T>& state) {
    const int64_t stride = decay.rank() == 0 ? 0 : decay.stride(0);
    const T* log_decay = decay.data_as<T>();
    for (int64_t c = 0; c < rows; ++c) {
      FoldRow(std::exp(log_decay[c * stride]), added.data + c * added.stride,
              cols, state.data + c * state.stride);
    }
  }

  // S <- M S + S_ext, some columns at a time.
  template <typename T>
  static void FoldMatrix(const ConstTensorView& matrix,
                         const ConstStateView<T>& added, bool transposed,
                         int64_t rows, int64_t cols,
                         const StateView<T>& state) {
    constexpr int64_t kColumns = 8;
    const T* m = matrix.data_as<T>();
    const int64_t row_stride = matrix.stride(transposed ? 1 : 0);
    const int64_t stride = matrix.stride(transposed ? 0 : 1);
    T sums[kMaxKeyDim][kColumns];
    for (int64_t e = 0; e < cols; e += kColumns) {
      const int64_t count = std::min(kColumns, cols - e);
      for (int64_t c = 0; c < rows; ++c) {
        std::copy_n(added.data + c * added.stride + e, count, sums[c]);
        for (int64_t d = 0; d < rows; ++d) {
          const T factor = m[c * row_stride + d * stride];
          const T* row = state.data + d * state.stride + e;
          for (int64_t i = 0; i < count; ++i) sums[c][i] += factor * row[i];
        }
      }
      for (int64_t c = 0; c < rows; ++c) {
        std::copy_n(sums[c], count, state.data + c * state.stride + e);
      }
    }
  }

  template <typename T>
  static void FoldRow(T decay, const T* added, int64_t cols, T* row) {
    // A decay of zero forgets what was there, even an infinity.
    if (decay == T{0}) {
      std::copy_n(added, cols, row);
      return;
    }
    for (int64_t e = 0; e < cols; ++e) row[e] = decay * row[e] + added[e];
  }

  const InstructionSet set_;
};

}  // namespace

std::unique_ptr<LinearAttention> CreateCpuLinearAttention(InstructionSet set) {
  return std::make_unique<CpuLinearAttention>(set);
}

}  // namespace longspan::kernels
