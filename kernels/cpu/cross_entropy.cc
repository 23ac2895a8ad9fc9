#include <cmath>
#include <cstdint>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/dense.h"
#include "kernels/api/dense_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/op_blocks.h"
#include "kernels/cost/workspace.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {
namespace {

int64_t WorkspaceBytes(const CrossEntropyInputs& inputs) {
  return CrossEntropyWorkspaceBytes(
      inputs.hidden.size(0), inputs.hidden.size(1), inputs.weight.size(0),
      BytesPerElement(inputs.hidden.dtype()), BackendKind::kCpu, 1);
}

// One pass over the slabs. Rows of a slab are independent; their losses are
// added up in row order.
template <typename T>
class SlabPass {
 public:
  SlabPass(const CrossEntropyInputs& inputs, const CrossEntropyOutputs& outputs,
           const CrossEntropyGradients* gradients, TensorView workspace,
           ThreadPool& pool)
      : inputs_(inputs),
        outputs_(outputs),
        gradients_(gradients),
        pool_(pool),
        vocabulary_(inputs.weight.size(0)),
        slab_rows_(CrossEntropySlabRows(inputs.hidden.size(0), vocabulary_,
                                        sizeof(T))),
        losses_(static_cast<double*>(workspace.data())),
        logits_(reinterpret_cast<T*>(losses_ + (slab_rows_ + 7) / 8 * 8)) {
    if (gradients_ != nullptr) {
      grad_scale_ = gradients_->grad_scale.template data_as<float>()[0];
    }
  }

  absl::Status Run() {
    double loss = 0.0;
    const int64_t rows = inputs_.hidden.size(0);
    for (int64_t begin = 0; begin < rows; begin += slab_rows_) {
      const int64_t end = std::min(rows, begin + slab_rows_);
      RETURN_IF_ERROR(RunSlab(begin, end));
      for (int64_t m = 0; m < end - begin; ++m) loss += losses_[m];
    }
    outputs_.loss.template data_as<double>()[0] = loss;
    return absl::OkStatus();
  }

 private:
  absl::Status RunSlab(int64_t begin, int64_t end) {
    const TensorView logits(logits_, DTypeOf<T>::kValue,
                            {end - begin, vocabulary_});
    const ConstTensorView hidden = inputs_.hidden.Slice(0, begin, end);
    RETURN_IF_ERROR(MatMulOnPool(hidden, inputs_.weight, logits,
                                 {.transpose_b = true}, pool_));
    ForBlocks(pool_, end - begin, GrainOf(vocabulary_),
              [&](int64_t first, int64_t last) {
                for (int64_t m = first; m < last; ++m) RunRow(begin + m, m);
              });
    if (gradients_ == nullptr) return absl::OkStatus();
    RETURN_IF_ERROR(MatMulOnPool(logits, inputs_.weight,
                                 gradients_->d_hidden.Slice(0, begin, end), {},
                                 pool_));
    return MatMulOnPool(logits, hidden, gradients_->d_weight,
                        {.transpose_a = true, .accumulate = true}, pool_);
  }

  // Row `m` of the sequence, row `slot` of the slab: its loss, and its logits
  // turned into their gradients.
  void RunRow(int64_t m, int64_t slot) {
    T* logits = logits_ + slot * vocabulary_;
    const int32_t target = inputs_.targets.template data_as<int32_t>()[m];
    double nll = 0.0;
    double weight = 0.0;
    if (target >= 0) {
      weight = TokenWeight(m);
      const double logit = logits[target];
      double sum = 0.0;
      const double top = kernels_.exponentials(vocabulary_, logits, &sum);
      nll = std::log(sum) + top - logit;
      if (gradients_ != nullptr) SetGradient(logits, target, weight, sum);
    } else if (gradients_ != nullptr) {
      std::fill_n(logits, vocabulary_, T{0});
    }
    losses_[slot] = weight * nll;
    if (!outputs_.nll.is_null()) {
      outputs_.nll.template data_as<T>()[m] = static_cast<T>(nll);
    }
  }

  void SetGradient(T* exponentials, int32_t target, double weight, double sum) {
    const double scale = weight * grad_scale_;
    kernels_.scale(vocabulary_, static_cast<T>(scale / sum), exponentials);
    exponentials[target] -= static_cast<T>(scale);
  }

  double TokenWeight(int64_t m) const {
    if (inputs_.token_weights.is_null()) return 1.0;
    return inputs_.token_weights.template data_as<T>()[m];
  }

  const CrossEntropyInputs& inputs_;
  const CrossEntropyOutputs& outputs_;
  const CrossEntropyGradients* gradients_;
  ThreadPool& pool_;
  const RowKernels<T>& kernels_ = RowKernelsOf<T>();
  const int64_t vocabulary_;
  const int64_t slab_rows_;
  double* const losses_;  // [slab_rows_], rounded up to 64 bytes
  T* const logits_;       // [slab_rows_, vocabulary_]
  double grad_scale_ = 0.0;
};

absl::Status RunPass(const CrossEntropyInputs& inputs,
                     const CrossEntropyOutputs& outputs,
                     const CrossEntropyGradients* gradients,
                     TensorView workspace, Stream& stream) {
  RETURN_IF_ERROR(CheckCrossEntropy(inputs, outputs, gradients));
  OperandCheck check("CrossEntropy");
  RETURN_IF_ERROR(check.Workspace(workspace, WorkspaceBytes(inputs)).status());
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (inputs.hidden.dtype() == DType::kF32) {
    return SlabPass<float>(inputs, outputs, gradients, workspace, pool).Run();
  }
  return SlabPass<double>(inputs, outputs, gradients, workspace, pool).Run();
}

class CpuCrossEntropy : public CrossEntropy {
 public:
  absl::Status Forward(const CrossEntropyInputs& inputs,
                       const CrossEntropyOutputs& outputs, TensorView workspace,
                       Stream& stream) override {
    return RunPass(inputs, outputs, nullptr, workspace, stream);
  }

  absl::Status ForwardBackward(const CrossEntropyInputs& inputs,
                               const CrossEntropyOutputs& outputs,
                               const CrossEntropyGradients& gradients,
                               TensorView workspace, Stream& stream) override {
    return RunPass(inputs, outputs, &gradients, workspace, stream);
  }
};

}  // namespace

std::unique_ptr<CrossEntropy> CreateCpuCrossEntropy() {
  return std::make_unique<CpuCrossEntropy>();
}

}  // namespace longspan::kernels
