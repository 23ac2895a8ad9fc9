// The gates of kernels/api/token_gates.h by their equations, in double.
#include "kernels/api/token_gates.h"

#include <cmath>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/token_gates_operands.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/reference/scalar_access.h"
#include "kernels/reference/sigmoid.h"

namespace longspan::kernels {
namespace {

class ReferenceTokenGates : public TokenGates {
 public:
  absl::Status Sigmoid(ConstTensorView x, double factor, TensorView y,
                       Stream&) override {
    RETURN_IF_ERROR(CheckSigmoid(x, y, kReferenceOperands));
    for (int64_t i = 0; i < x.element_count(); ++i) {
      StoreFlat(y, i, factor * SigmoidOf(LoadFlat(x, i)));
    }
    return absl::OkStatus();
  }

  absl::Status SigmoidBackward(ConstTensorView x, double factor,
                               ConstTensorView d_y, TensorView d_x,
                               Stream&) override {
    RETURN_IF_ERROR(CheckSigmoidBackward(x, d_y, d_x, kReferenceOperands));
    for (int64_t i = 0; i < x.element_count(); ++i) {
      const double s = SigmoidOf(LoadFlat(x, i));
      StoreFlat(d_x, i, LoadFlat(d_y, i) * factor * s * (1 - s));
    }
    return absl::OkStatus();
  }

  absl::Status SoftplusGate(const SoftplusGateInputs& inputs, TensorView y,
                            Stream&) override {
    RETURN_IF_ERROR(CheckSoftplusGate(inputs, y, kReferenceOperands));
    const int64_t size = inputs.x.size(1) / inputs.a_log.size(0);
    for (int64_t m = 0; m < y.size(0); ++m) {
      for (int64_t n = 0; n < y.size(1); ++n) {
        const double z = Load(inputs.x, {m, n}) + Load(inputs.bias, {n});
        const double rate = std::exp(Load(inputs.a_log, {n / size}));
        Store(y, {m, n}, rate * LogSigmoidOf(-z));
      }
    }
    return absl::OkStatus();
  }

  absl::Status SoftplusGateBackward(const SoftplusGateInputs& inputs,
                                    ConstTensorView d_y,
                                    const SoftplusGateGradients& d,
                                    Stream&) override {
    RETURN_IF_ERROR(
        CheckSoftplusGateBackward(inputs, d_y, d, kReferenceOperands));
    const int64_t size = inputs.x.size(1) / inputs.a_log.size(0);
    for (int64_t n = 0; n < d_y.size(1); ++n) {
      const double rate = std::exp(Load(inputs.a_log, {n / size}));
      double d_bias = 0.0;
      double d_a_log = 0.0;
      for (int64_t m = 0; m < d_y.size(0); ++m) {
        const double z = Load(inputs.x, {m, n}) + Load(inputs.bias, {n});
        const double d_x = -Load(d_y, {m, n}) * rate * SigmoidOf(z);
        Store(d.d_x, {m, n}, d_x);
        d_bias += d_x;
        d_a_log += Load(d_y, {m, n}) * rate * LogSigmoidOf(-z);
      }
      Accumulate(d.d_bias, {n}, d_bias);
      Accumulate(d.d_a_log, {n / size}, d_a_log);
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<TokenGates> CreateReferenceTokenGates() {
  return std::make_unique<ReferenceTokenGates>();
}

}  // namespace longspan::kernels
