// The gates of kernels/api/token_gates.h by their equations, in double.
#include "kernels/api/token_gates.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "common/base/status_macros.h"
#include "kernels/api/token_gates_operands.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/reference/scalar_access.h"
#include "kernels/reference/sigmoid.h"

namespace longspan::kernels {
namespace {

// softmax(bounds) of column n, and the lower bound that `layer` makes of it.
struct BoundColumn {
  std::vector<double> shares;
  double bound = 0.0;

  BoundColumn(const BoundedForgetGateInputs& inputs, int64_t n) {
    const int64_t layers = inputs.bounds.size(0);
    double largest = Load(inputs.bounds, {0, n});
    for (int64_t l = 1; l < layers; ++l) {
      largest = std::max(largest, Load(inputs.bounds, {l, n}));
    }
    double sum = 0.0;
    for (int64_t l = 0; l < layers; ++l) {
      shares.push_back(std::exp(Load(inputs.bounds, {l, n}) - largest));
      sum += shares.back();
    }
    for (double& share : shares) share /= sum;
    for (int64_t l = 1; l <= inputs.layer; ++l) bound += shares[l];
  }
};

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

  absl::Status ForgetGate(ConstTensorView x, TensorView y, TensorView k,
                          Stream&) override {
    RETURN_IF_ERROR(CheckForgetGate(x, y, k, kReferenceOperands));
    for (int64_t i = 0; i < x.element_count(); ++i) {
      StoreFlat(y, i, LogSigmoidOf(LoadFlat(x, i)));
      StoreFlat(k, i, SigmoidOf(-LoadFlat(x, i)));
    }
    return absl::OkStatus();
  }

  absl::Status ForgetGateBackward(ConstTensorView x, ConstTensorView d_y,
                                  ConstTensorView d_k, TensorView d_x,
                                  Stream&) override {
    RETURN_IF_ERROR(
        CheckForgetGateBackward(x, d_y, d_k, d_x, kReferenceOperands));
    for (int64_t i = 0; i < x.element_count(); ++i) {
      const double forgets = SigmoidOf(-LoadFlat(x, i));
      StoreFlat(d_x, i,
                LoadFlat(d_y, i) * forgets -
                    LoadFlat(d_k, i) * forgets * (1 - forgets));
    }
    return absl::OkStatus();
  }

  absl::Status BoundedForgetGate(const BoundedForgetGateInputs& inputs,
                                 TensorView y, TensorView k, Stream&) override {
    RETURN_IF_ERROR(CheckBoundedForgetGate(inputs, y, k, kReferenceOperands));
    for (int64_t n = 0; n < y.size(1); ++n) {
      const double bound = BoundColumn(inputs, n).bound;
      for (int64_t m = 0; m < y.size(0); ++m) {
        const double s = SigmoidOf(Load(inputs.x, {m, n}));
        Store(y, {m, n}, std::log(bound + (1 - bound) * s));
        Store(k, {m, n}, (1 - bound) * (1 - s));
      }
    }
    return absl::OkStatus();
  }

  absl::Status BoundedForgetGateBackward(const BoundedForgetGateInputs& inputs,
                                         ConstTensorView d_y,
                                         ConstTensorView d_k,
                                         const BoundedForgetGateGradients& d,
                                         Stream&) override {
    RETURN_IF_ERROR(CheckBoundedForgetGateBackward(inputs, d_y, d_k, d,
                                                   kReferenceOperands));
    for (int64_t n = 0; n < d_y.size(1); ++n) {
      const BoundColumn column(inputs, n);
      const double bound = column.bound;
      double d_bound = 0.0;
      for (int64_t m = 0; m < d_y.size(0); ++m) {
        const double s = SigmoidOf(Load(inputs.x, {m, n}));
        const double d_a =
            Load(d_y, {m, n}) / (bound + (1 - bound) * s) - Load(d_k, {m, n});
        Store(d.d_x, {m, n}, d_a * (1 - bound) * s * (1 - s));
        d_bound += d_a * (1 - s);
      }
      for (int64_t l = 0; l < inputs.bounds.size(0); ++l) {
        const double inside = 1 <= l && l <= inputs.layer ? 1.0 : 0.0;
        Accumulate(d.d_bounds, {l, n},
                   d_bound * column.shares[l] * (inside - bound));
      }
    }
    return absl::OkStatus();
  }

  absl::Status SigmoidProduct(const SigmoidProductInputs& inputs, TensorView y,
                              Stream&) override {
    RETURN_IF_ERROR(CheckSigmoidProduct(inputs, y, kReferenceOperands));
    for (int64_t m = 0; m < y.size(0); ++m) {
      for (int64_t n = 0; n < y.size(1); ++n) {
        const double z = Load(inputs.gate, {m, n}) + Load(inputs.bias, {n});
        Store(y, {m, n}, Load(inputs.x, {m, n}) * SigmoidOf(z));
      }
    }
    return absl::OkStatus();
  }

  absl::Status SigmoidProductBackward(const SigmoidProductInputs& inputs,
                                      ConstTensorView d_y,
                                      const SigmoidProductGradients& d,
                                      Stream&) override {
    RETURN_IF_ERROR(
        CheckSigmoidProductBackward(inputs, d_y, d, kReferenceOperands));
    for (int64_t m = 0; m < d_y.size(0); ++m) {
      for (int64_t n = 0; n < d_y.size(1); ++n) {
        const double z = Load(inputs.gate, {m, n}) + Load(inputs.bias, {n});
        const double s = SigmoidOf(z);
        const double d_z =
            Load(d_y, {m, n}) * Load(inputs.x, {m, n}) * s * (1 - s);
        Store(d.d_x, {m, n}, Load(d_y, {m, n}) * s);
        Store(d.d_gate, {m, n}, d_z);
        Accumulate(d.d_bias, {n}, d_z);
      }
    }
    return absl::OkStatus();
  }

  absl::Status StepProduct(const StepProductInputs& inputs, TensorView y,
                           Stream&) override {
    RETURN_IF_ERROR(CheckStepProduct(inputs, y, kReferenceOperands));
    for (int64_t m = 0; m < y.size(0); ++m) {
      for (int64_t h = 0; h < y.size(1); ++h) {
        for (int64_t i = 0; i < y.size(2); ++i) {
          Store(y, {m, h, i}, StepOf(inputs, m, h) * Load(inputs.x, {m, h, i}));
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status StepProductBackward(const StepProductInputs& inputs,
                                   ConstTensorView d_y,
                                   const StepProductGradients& d,
                                   Stream&) override {
    RETURN_IF_ERROR(
        CheckStepProductBackward(inputs, d_y, d, kReferenceOperands));
    for (int64_t m = 0; m < d_y.size(0); ++m) {
      for (int64_t h = 0; h < d_y.size(1); ++h) {
        const double step = StepOf(inputs, m, h);
        double d_step = 0.0;
        for (int64_t i = 0; i < d_y.size(2); ++i) {
          d_step += Load(d_y, {m, h, i}) * Load(inputs.x, {m, h, i});
          Store(d.d_x, {m, h, i}, step * Load(d_y, {m, h, i}));
        }
        const double factor = -std::exp(-Load(inputs.a_log, {h}));
        Accumulate(d.d_log_gate, {m, h}, factor * d_step);
        Accumulate(d.d_a_log, {h}, -step * d_step);
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddSkip(ConstTensorView x, ConstTensorView weight, TensorView y,
                       Stream&) override {
    RETURN_IF_ERROR(CheckAddSkip(x, weight, y, kReferenceOperands));
    for (int64_t m = 0; m < y.size(0); ++m) {
      for (int64_t h = 0; h < y.size(1); ++h) {
        for (int64_t i = 0; i < y.size(2); ++i) {
          Accumulate(y, {m, h, i}, Load(weight, {h}) * Load(x, {m, h, i}));
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddSkipBackward(ConstTensorView x, ConstTensorView weight,
                               ConstTensorView d_y, TensorView d_x,
                               TensorView d_weight, Stream&) override {
    RETURN_IF_ERROR(CheckAddSkipBackward(x, weight, d_y, d_x, d_weight,
                                         kReferenceOperands));
    for (int64_t m = 0; m < d_y.size(0); ++m) {
      for (int64_t h = 0; h < d_y.size(1); ++h) {
        for (int64_t i = 0; i < d_y.size(2); ++i) {
          const double d = Load(d_y, {m, h, i});
          Accumulate(d_x, {m, h, i}, Load(weight, {h}) * d);
          Accumulate(d_weight, {h}, d * Load(x, {m, h, i}));
        }
      }
    }
    return absl::OkStatus();
  }

 private:
  static double StepOf(const StepProductInputs& inputs, int64_t m, int64_t h) {
    return -std::exp(-Load(inputs.a_log, {h})) * Load(inputs.log_gate, {m, h});
  }
};

}  // namespace

std::unique_ptr<TokenGates> CreateReferenceTokenGates() {
  return std::make_unique<ReferenceTokenGates>();
}

}  // namespace longspan::kernels
