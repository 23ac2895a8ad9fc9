// The table of one instruction set; included once by each of
// op_kernels_{baseline,avx2,avx512}.cc.
#pragma once

#include "kernels/cpu/activation_variant.h"
#include "kernels/cpu/convolution_variant.h"
#include "kernels/cpu/matmul_f64_variant.h"
#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/optimizer_variant.h"
#include "kernels/cpu/rms_norm_variant.h"

namespace longspan::kernels::LONGSPAN_VARIANT {

template <typename T>
constexpr RowKernels<T> MakeRowKernels() {
  return {
      .silu = Silu<T>,
      .silu_backward = SiluBackward<T>,
      .swiglu = SwiGlu<T>,
      .swiglu_backward = SwiGluBackward<T>,
      .log_sigmoid = LogSigmoidRun<T>,
      .log_sigmoid_backward = LogSigmoidBackward<T>,
      .sigmoid = SigmoidRun<T>,
      .sigmoid_backward = SigmoidBackward<T>,
      .softplus = SoftplusRun<T>,
      .softplus_backward = SoftplusBackward<T>,
      .forget = Forget<T>,
      .forget_backward = ForgetBackward<T>,
      .bounded_forget = BoundedForget<T>,
      .bounded_forget_backward = BoundedForgetBackward<T>,
      .sigmoid_product = SigmoidProduct<T>,
      .sigmoid_product_backward = SigmoidProductBackward<T>,
      .add = Add<T>,
      .scale = Scale<T>,
      .rms_norm = RmsNorm<T>,
      .rms_norm_backward = RmsNormBackward<T>,
      .rotate = Rotate<T>,
      .exponentials = Exponentials<T>,
      .convolution_lanes = kLanes<T>,
      .convolve = Convolve<T>,
      .convolve_backward = ConvolveBackward<T>,
      .adamw = AdamW<T>,
      .sum_of_squares = SumOfSquares<T>,
  };
}

extern const OpKernels kOpKernels;
const OpKernels kOpKernels = {
    .f32 = MakeRowKernels<float>(),
    .f64 = MakeRowKernels<double>(),
    .matmul_f64 = MatMul,
};

}  // namespace longspan::kernels::LONGSPAN_VARIANT
