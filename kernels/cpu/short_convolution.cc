#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/matmul_tiles.h"
#include "kernels/cost/op_blocks.h"
#include "kernels/cost/workspace.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/op_kernels.h"

// Work is cut into (batch, block of tokens, vector of channels); token blocks
// depend on the number of tokens alone, since weight gradients are summed per
// block.
namespace longspan::kernels {
namespace {

// Of a channel; a bias is to the workspace what one more tap is.
int64_t ParametersOf(const ShortConvolutionInputs& inputs) {
  return inputs.weight.size(1) + (inputs.bias.is_null() ? 0 : 1);
}

template <typename T>
class Convolver {
 public:
  Convolver(const ShortConvolutionInputs& inputs, ThreadPool& pool)
      : inputs_(inputs),
        pool_(pool),
        tokens_(inputs.x.size(1)),
        channels_(inputs.x.size(2)),
        blocks_(RowSumBlocks(tokens_)) {}

  void Forward(TensorView y) {
    ForItems([&](int64_t batch, int64_t block, int64_t channel) {
      T* out = y.data_as<T>() + batch * y.stride(0) + channel;
      kernels_.convolve(RunAt(batch, block, channel), out, y.stride(1));
    });
  }

  // partial_sums [batch, blocks, C K + C]: of weights, and of a bias.
  void Backward(ConstTensorView d_y, const ShortConvolutionGradients& gradients,
                T* partial_sums) {
    const int64_t weights = inputs_.weight.element_count();
    const int64_t numbers = channels_ * ParametersOf(inputs_);
    const int64_t kernel = inputs_.weight.size(1);
    ForItems([&](int64_t batch, int64_t block, int64_t channel) {
      ConvolutionRunGradients<T> run =
          GradientsAt(d_y, gradients, batch, channel);
      T* sums = partial_sums + (batch * blocks_ + block) * numbers;
      run.d_weight = sums + channel * kernel;
      if (!inputs_.bias.is_null()) run.d_bias = sums + weights + channel;
      kernels_.convolve_backward(RunAt(batch, block, channel), run);
    });
    AddSums(partial_sums, numbers, gradients.d_weight);
    if (inputs_.bias.is_null()) return;
    AddSums(partial_sums + weights, numbers, gradients.d_bias);
  }

 private:
  template <typename Body>
  void ForItems(const Body& body) {
    const int64_t lanes = kernels_.convolution_lanes;
    const int64_t vectors = (channels_ + lanes - 1) / lanes;
    const int64_t count = inputs_.x.size(0) * blocks_ * vectors;
    pool_.ParallelFor(count, [&](int64_t item, int) {
      const int64_t rest = item / vectors;
      body(rest / blocks_, rest % blocks_, item % vectors * lanes);
    });
  }

  ConvolutionRun<T> RunAt(int64_t batch, int64_t block, int64_t channel) const {
    const ConstTensorView& x = inputs_.x;
    ConvolutionRun<T> run;
    run.channels = std::min(kernels_.convolution_lanes, channels_ - channel);
    run.kernel = inputs_.weight.size(1);
    run.tokens = tokens_;
    run.begin = PartBegin(tokens_, blocks_, block);
    run.end = PartBegin(tokens_, blocks_, block + 1);
    run.silu = inputs_.silu;
    run.document_starts = inputs_.documents.starts;
    run.document_count = inputs_.documents.count;
    run.weight = inputs_.weight.data_as<T>() + channel * run.kernel;
    if (!inputs_.bias.is_null()) {
      run.bias = inputs_.bias.data_as<T>() + channel;
    }
    run.x = x.data_as<T>() + batch * x.stride(0) + channel;
    run.x_stride = x.stride(1);
    if (!inputs_.halo.is_null()) {
      const ConstTensorView& halo = inputs_.halo;
      run.halo = halo.data_as<T>() + batch * halo.stride(0) + channel;
      run.halo_stride = halo.stride(1);
    }
    return run;
  }

  ConvolutionRunGradients<T> GradientsAt(
      ConstTensorView d_y, const ShortConvolutionGradients& gradients,
      int64_t batch, int64_t channel) const {
    const TensorView& d_x = gradients.d_x;
    const TensorView& d_halo = gradients.d_halo;
    ConvolutionRunGradients<T> run;
    run.d_y = d_y.data_as<T>() + batch * d_y.stride(0) + channel;
    run.d_y_stride = d_y.stride(1);
    run.d_x = d_x.data_as<T>() + batch * d_x.stride(0) + channel;
    run.d_x_stride = d_x.stride(1);
    if (!d_halo.is_null()) {
      run.d_halo = d_halo.data_as<T>() + batch * d_halo.stride(0) + channel;
      run.d_halo_stride = d_halo.stride(1);
    }
    return run;
  }

  // gradient += rows of `stride` sums, in their order.
  void AddSums(const T* sums, int64_t stride, TensorView gradient) const {
    T* to = gradient.data_as<T>();
    const int64_t rows = inputs_.x.size(0) * blocks_;
    for (int64_t i = 0; i < gradient.element_count(); ++i) {
      double sum = 0.0;
      for (int64_t j = 0; j < rows; ++j) sum += sums[j * stride + i];
      to[i] = static_cast<T>(to[i] + sum);
    }
  }

  const ShortConvolutionInputs& inputs_;
  ThreadPool& pool_;
  const RowKernels<T>& kernels_ = RowKernelsOf<T>();
  const int64_t tokens_;
  const int64_t channels_;
  const int64_t blocks_;
};

class CpuShortConvolution : public ShortConvolution {
 public:
  absl::Status Forward(const ShortConvolutionInputs& inputs, TensorView y,
                       Stream& stream) override {
    RETURN_IF_ERROR(CheckShortConvolution(inputs, y));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    if (y.dtype() == DType::kF32) {
      Convolver<float>(inputs, pool).Forward(y);
    } else {
      Convolver<double>(inputs, pool).Forward(y);
    }
    return absl::OkStatus();
  }

  absl::Status Backward(const ShortConvolutionInputs& inputs,
                        ConstTensorView d_y,
                        const ShortConvolutionGradients& gradients,
                        TensorView workspace, Stream& stream) override {
    RETURN_IF_ERROR(CheckShortConvolutionBackward(inputs, d_y, gradients));
    const ConstTensorView& x = inputs.x;
    const int64_t bytes = ShortConvolutionBackwardWorkspaceBytes(
        x.size(0), x.size(1), x.size(2), ParametersOf(inputs),
        BytesPerElement(x.dtype()), BackendKind::kCpu, 1);
    OperandCheck check("ShortConvolutionBackward");
    RETURN_IF_ERROR(check.Workspace(workspace, bytes).status());
    ThreadPool& pool = CpuStream::PoolOf(stream);
    if (x.dtype() == DType::kF32) {
      Convolver<float>(inputs, pool)
          .Backward(d_y, gradients, static_cast<float*>(workspace.data()));
    } else {
      Convolver<double>(inputs, pool)
          .Backward(d_y, gradients, static_cast<double*>(workspace.data()));
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<ShortConvolution> CreateCpuShortConvolution() {
  return std::make_unique<CpuShortConvolution>();
}

}  // namespace longspan::kernels
