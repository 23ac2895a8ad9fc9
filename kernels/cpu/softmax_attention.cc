#include "kernels/api/softmax_attention.h"

#include <algorithm>
#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "common/base/status_macros.h"
#include "kernels/api/operand_check.h"
#include "kernels/api/softmax_attention_operands.h"
#include "kernels/cost/softmax_attention_plan.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/cpu/softmax_attention_kernels.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {
namespace {

SoftmaxAttentionShape ShapeOf(const SoftmaxAttentionSizes& sizes) {
  return {sizes.batch,
          sizes.query_tokens,
          sizes.key_tokens,
          sizes.heads,
          sizes.key_heads,
          sizes.head_dim,
          BytesPerElement(sizes.dtype)};
}

absl::Status CheckWorkspace(const char* op, bool backward,
                            const SoftmaxAttentionSizes& sizes, int threads,
                            TensorView workspace) {
  OperandCheck check(op);
  check.Workspace(workspace,
                  SoftmaxAttentionWorkspaceBytes(backward, ShapeOf(sizes),
                                                 BackendKind::kCpu, threads));
  return check.status();
}

// Operand [B, T, H, D] at (b, token 0, h).
template <typename Field, typename T, typename View>
Field FieldAt(const View& view, int64_t b, int64_t h) {
  return {view.template data_as<T>() + b * view.stride(0) + h * view.stride(2),
          view.stride(1)};
}

// One call: the visible ranges of all queries at the front of the workspace,
// then each thread's scratch.
template <typename T>
class AttentionCall {
 public:
  using Head = SoftmaxAttentionHead<T>;
  using Operand = typename Head::Operand;
  using Result = typename Head::Result;

  AttentionCall(bool backward, const SoftmaxAttentionInputs& inputs,
                const SoftmaxAttentionSizes& sizes, TensorView workspace,
                Stream& stream)
      : inputs_(inputs),
        sizes_(sizes),
        plan_(PlanSoftmaxAttention(backward, ShapeOf(sizes))),
        ranges_(static_cast<VisibleRange*>(workspace.data())),
        block_ranges_(ranges_ + sizes.query_tokens),
        scratch_(reinterpret_cast<T*>(
            static_cast<std::byte*>(workspace.data()) + plan_.range_bytes)),
        pool_(CpuStream::PoolOf(stream)) {
    pool_.ParallelFor(plan_.query_blocks,
                      [&](int64_t block, int) { FillRanges(block); });
  }

  void Forward(const TensorView& o, const TensorView& lse) const {
    ForEachQueryTask([&](int64_t b, int64_t h, Head& head) {
      head.o = FieldAt<Result, T>(o, b, h);
      head.lse = lse.data_as<T>() + b * lse.stride(0) + h * lse.stride(1);
      kernels().forward(head);
    });
  }

  void Backward(const SoftmaxAttentionSaved& saved, const ConstTensorView& d_o,
                const SoftmaxAttentionGradients& gradients) const {
    const auto add_operands = [&](int64_t b, int64_t h, Head& head) {
      head.saved_o = FieldAt<Operand, T>(saved.o, b, h);
      head.d_o = FieldAt<Operand, T>(d_o, b, h);
      head.saved_lse = saved.lse.data_as<T>() + b * saved.lse.stride(0) +
                       h * saved.lse.stride(1);
    };
    // With enough key heads one walk makes all gradients. Otherwise dQ is
    // parallel over query blocks and dK, dV over key blocks, at the price of
    // computing the tiles twice; the bits are the same.
    if (sizes_.batch * sizes_.key_heads >= pool_.threads()) {
      ForEachKeyHead(gradients, add_operands);
      return;
    }
    ForEachQueryTask([&](int64_t b, int64_t h, Head& head) {
      add_operands(b, h, head);
      head.d_q = FieldAt<Result, T>(gradients.d_q, b, h);
      kernels().backward(head);
    });
    ForEachKeyBlock(gradients, add_operands);
  }

  void set_kernels(const SoftmaxAttentionKernels<T>& kernels) {
    kernels_ = &kernels;
  }

 private:
  const SoftmaxAttentionKernels<T>& kernels() const { return *kernels_; }
  int64_t group() const { return sizes_.heads / sizes_.key_heads; }

  void FillRanges(int64_t block) {
    const int64_t begin = block * kAttentionBlock;
    const int64_t end = std::min(begin + kAttentionBlock, sizes_.query_tokens);
    VisibleRange all = {sizes_.key_tokens, 0};
    for (int64_t i = begin; i < end; ++i) {
      const KeyRange keys = VisibleKeys(inputs_, i);
      ranges_[i] = {keys.begin, keys.end};
      if (keys.begin == keys.end) continue;
      all.begin = std::min(all.begin, keys.begin);
      all.end = std::max(all.end, keys.end);
    }
    block_ranges_[block] = {std::min(all.begin, all.end), all.end};
  }

  Head HeadAt(int64_t b, int64_t h, int thread) const {
    Head head;
    head.query_tokens = sizes_.query_tokens;
    head.key_tokens = sizes_.key_tokens;
    head.head_dim = sizes_.head_dim;
    head.scale = inputs_.scale;
    head.ranges = ranges_;
    head.block_ranges = block_ranges_;
    head.q = FieldAt<Operand, T>(inputs_.q, b, h);
    head.k = FieldAt<Operand, T>(inputs_.k, b, h / group());
    head.v = FieldAt<Operand, T>(inputs_.v, b, h / group());
    head.query_block_end = plan_.query_blocks;
    head.key_block_end = plan_.key_blocks;
    head.scratch = scratch_ + thread * plan_.scratch_elements;
    return head;
  }

  // Blocks of queries that a task takes: no more than share a walk, and fewer
  // where threads would wait for others.
  int64_t TaskBlocks() const {
    if (pool_.threads() == 1) return plan_.query_blocks_together;
    constexpr int64_t kTasksPerThread = 4;
    const int64_t all = sizes_.batch * sizes_.heads * plan_.query_blocks;
    const int64_t share = all / (kTasksPerThread * pool_.threads());
    return std::clamp<int64_t>(share, 1, plan_.query_blocks_together);
  }

  template <typename Body>
  void ForEachQueryTask(const Body& body) const {
    const int64_t blocks = TaskBlocks();
    const int64_t tasks = (plan_.query_blocks + blocks - 1) / blocks;
    pool_.ParallelFor(
        sizes_.batch * sizes_.heads * tasks, [&](int64_t index, int thread) {
          const int64_t b = index / tasks / sizes_.heads;
          const int64_t h = index / tasks % sizes_.heads;
          Head head = HeadAt(b, h, thread);
          head.query_block_begin = index % tasks * blocks;
          head.query_block_end =
              std::min(head.query_block_begin + blocks, plan_.query_blocks);
          body(b, h, head);
        });
  }

  // All query heads of a key head in turn, so that dK and dV have one writer.
  template <typename AddOperands>
  void ForEachKeyHead(const SoftmaxAttentionGradients& gradients,
                      const AddOperands& add_operands) const {
    pool_.ParallelFor(
        sizes_.batch * sizes_.key_heads, [&](int64_t index, int thread) {
          const int64_t b = index / sizes_.key_heads;
          const int64_t g = index % sizes_.key_heads;
          ClearKeys(gradients, b, g, 0, sizes_.key_tokens);
          for (int64_t h = g * group(); h < (g + 1) * group(); ++h) {
            Head head = HeadAt(b, h, thread);
            add_operands(b, h, head);
            head.d_q = FieldAt<Result, T>(gradients.d_q, b, h);
            head.d_k = FieldAt<Result, T>(gradients.d_k, b, g);
            head.d_v = FieldAt<Result, T>(gradients.d_v, b, g);
            kernels().backward(head);
          }
        });
  }

  template <typename AddOperands>
  void ForEachKeyBlock(const SoftmaxAttentionGradients& gradients,
                       const AddOperands& add_operands) const {
    const int64_t blocks = plan_.key_blocks;
    pool_.ParallelFor(
        sizes_.batch * sizes_.key_heads * blocks,
        [&](int64_t index, int thread) {
          const int64_t b = index / blocks / sizes_.key_heads;
          const int64_t g = index / blocks % sizes_.key_heads;
          const int64_t block = index % blocks;
          const int64_t begin = block * kAttentionBlock;
          ClearKeys(gradients, b, g, begin,
                    std::min(begin + kAttentionBlock, sizes_.key_tokens));
          for (int64_t h = g * group(); h < (g + 1) * group(); ++h) {
            Head head = HeadAt(b, h, thread);
            add_operands(b, h, head);
            head.d_k = FieldAt<Result, T>(gradients.d_k, b, g);
            head.d_v = FieldAt<Result, T>(gradients.d_v, b, g);
            head.key_block_begin = block;
            head.key_block_end = block + 1;
            kernels().backward(head);
          }
        });
  }

  void ClearKeys(const SoftmaxAttentionGradients& gradients, int64_t b,
                 int64_t g, int64_t begin, int64_t end) const {
    for (const TensorView& view : {gradients.d_k, gradients.d_v}) {
      const Result rows = FieldAt<Result, T>(view, b, g);
      for (int64_t j = begin; j < end; ++j) {
        std::fill_n(rows.data + j * rows.stride, sizes_.head_dim, T{0});
      }
    }
  }

  const SoftmaxAttentionInputs& inputs_;
  const SoftmaxAttentionSizes& sizes_;
  const SoftmaxAttentionPlan plan_;
  VisibleRange* const ranges_;
  VisibleRange* const block_ranges_;
  T* const scratch_;
  ThreadPool& pool_;
  const SoftmaxAttentionKernels<T>* kernels_ = nullptr;
};

// (o, lse) of each query takes in the part's; a query's heads lie together.
template <typename T>
void MergeAttention(const SoftmaxAttentionSizes& sizes,
                    const SoftmaxAttentionSaved& part, const TensorView& o,
                    const TensorView& lse, ThreadPool& pool) {
  const auto merge_row = [&](int64_t b, int64_t i, int64_t h) {
    T& sum = lse.data_as<T>()[b * lse.stride(0) + h * lse.stride(1) + i];
    const T* parts = part.lse.data_as<T>() + b * part.lse.stride(0);
    const SoftmaxMergeStep step =
        MergeStepOf(sum, parts[h * part.lse.stride(1) + i]);
    const T weight = static_cast<T>(step.weight);
    const auto to =
        FieldAt<typename SoftmaxAttentionHead<T>::Result, T>(o, b, h);
    const auto from =
        FieldAt<typename SoftmaxAttentionHead<T>::Operand, T>(part.o, b, h);
    T* row = to.data + i * to.stride;
    const T* add = from.data + i * from.stride;
    for (int64_t c = 0; c < sizes.head_dim; ++c) {
      row[c] += weight * (add[c] - row[c]);
    }
    sum = static_cast<T>(step.lse);
  };
  ForBlocks(
      pool, sizes.batch * sizes.query_tokens,
      GrainOf(sizes.heads * sizes.head_dim), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          for (int64_t h = 0; h < sizes.heads; ++h) {
            merge_row(row / sizes.query_tokens, row % sizes.query_tokens, h);
          }
        }
      });
}

class CpuSoftmaxAttention : public SoftmaxAttention {
 public:
  explicit CpuSoftmaxAttention(InstructionSet set) : set_(set) {}

  absl::Status Forward(const SoftmaxAttentionInputs& inputs, TensorView o,
                       TensorView lse, TensorView workspace,
                       Stream& stream) override {
    ASSIGN_OR_RETURN(const SoftmaxAttentionSizes sizes,
                     CheckSoftmaxForward(inputs, o, lse));
    RETURN_IF_ERROR(CheckWorkspace("SoftmaxAttention", false, sizes,
                                   CpuStream::PoolOf(stream).threads(),
                                   workspace));
    WithCall(false, inputs, sizes, workspace, stream,
             [&](const auto& call) { call.Forward(o, lse); });
    return absl::OkStatus();
  }

  absl::Status Backward(const SoftmaxAttentionInputs& inputs,
                        const SoftmaxAttentionSaved& saved, ConstTensorView d_o,
                        const SoftmaxAttentionGradients& gradients,
                        TensorView workspace, Stream& stream) override {
    ASSIGN_OR_RETURN(const SoftmaxAttentionSizes sizes,
                     CheckSoftmaxBackward(inputs, saved, d_o, gradients));
    RETURN_IF_ERROR(CheckWorkspace("SoftmaxAttentionBackward", true, sizes,
                                   CpuStream::PoolOf(stream).threads(),
                                   workspace));
    WithCall(true, inputs, sizes, workspace, stream,
             [&](const auto& call) { call.Backward(saved, d_o, gradients); });
    return absl::OkStatus();
  }

  absl::Status Merge(const SoftmaxAttentionSaved& part, TensorView o,
                     TensorView lse, Stream& stream) override {
    ASSIGN_OR_RETURN(const SoftmaxAttentionSizes sizes,
                     CheckSoftmaxMerge(part, o, lse));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    if (sizes.dtype == DType::kF64) {
      MergeAttention<double>(sizes, part, o, lse, pool);
    } else {
      MergeAttention<float>(sizes, part, o, lse, pool);
    }
    return absl::OkStatus();
  }

 private:
  template <typename Fn>
  void WithCall(bool backward, const SoftmaxAttentionInputs& inputs,
                const SoftmaxAttentionSizes& sizes, TensorView workspace,
                Stream& stream, const Fn& fn) const {
    const auto run = [&](auto type) {
      using T = decltype(type);
      AttentionCall<T> call(backward, inputs, sizes, workspace, stream);
      call.set_kernels(SoftmaxAttentionFor<T>(set_));
      fn(call);
    };
    if (sizes.dtype == DType::kF64) {
      run(double{});
    } else {
      run(float{});
    }
  }

  const InstructionSet set_;
};

}  // namespace

std::unique_ptr<SoftmaxAttention> CreateCpuSoftmaxAttention(
    InstructionSet set) {
  return std::make_unique<CpuSoftmaxAttention>(set);
}

}  // namespace longspan::kernels
