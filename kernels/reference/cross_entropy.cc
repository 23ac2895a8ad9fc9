// The executable definition of kernels/api/dense.h (CrossEntropy). Holds all
// probabilities in double; needs no workspace.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "common/base/status_macros.h"
#include "kernels/api/dense_operands.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/reference/scalar_access.h"

namespace longspan::kernels {
namespace {

// logits of row m.
std::vector<double> Logits(const CrossEntropyInputs& inputs, int64_t m) {
  std::vector<double> logits(inputs.weight.size(0));
  for (int64_t v = 0; v < inputs.weight.size(0); ++v) {
    for (int64_t n = 0; n < inputs.hidden.size(1); ++n) {
      logits[v] += Load(inputs.hidden, {m, n}) * Load(inputs.weight, {v, n});
    }
  }
  return logits;
}

double LogSumExp(const std::vector<double>& logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (double logit : logits) sum += std::exp(logit - top);
  return top + std::log(sum);
}

double TokenWeight(const CrossEntropyInputs& inputs, int64_t m) {
  if (inputs.targets.data_as<int32_t>()[m] < 0) return 0.0;
  return inputs.token_weights.is_null() ? 1.0 : Load(inputs.token_weights, {m});
}

double Nll(const CrossEntropyInputs& inputs, int64_t m,
           const std::vector<double>& logits) {
  const int32_t target = inputs.targets.data_as<int32_t>()[m];
  return target < 0 ? 0.0 : LogSumExp(logits) - logits[target];
}

// d_logits[m, v] of grad_scale * loss, for all rows.
std::vector<double> LogitGradients(const CrossEntropyInputs& inputs,
                                   double grad_scale) {
  const int64_t vocabulary = inputs.weight.size(0);
  std::vector<double> gradients;
  for (int64_t m = 0; m < inputs.hidden.size(0); ++m) {
    const std::vector<double> logits = Logits(inputs, m);
    const double log_sum = LogSumExp(logits);
    const double scale = grad_scale * TokenWeight(inputs, m);
    const int32_t target = inputs.targets.data_as<int32_t>()[m];
    for (int64_t v = 0; v < vocabulary; ++v) {
      const double hit = v == target ? 1.0 : 0.0;
      gradients.push_back(scale * (std::exp(logits[v] - log_sum) - hit));
    }
  }
  return gradients;
}

class ReferenceCrossEntropy : public CrossEntropy {
 public:
  absl::Status Forward(const CrossEntropyInputs& inputs,
                       const CrossEntropyOutputs& outputs, TensorView workspace,
                       Stream& stream) override;
  absl::Status ForwardBackward(const CrossEntropyInputs& inputs,
                               const CrossEntropyOutputs& outputs,
                               const CrossEntropyGradients& gradients,
                               TensorView workspace, Stream& stream) override;
};

}  // namespace

absl::Status ReferenceCrossEntropy::Forward(const CrossEntropyInputs& inputs,
                                            const CrossEntropyOutputs& outputs,
                                            TensorView, Stream&) {
  RETURN_IF_ERROR(
      CheckCrossEntropy(inputs, outputs, nullptr, kReferenceOperands));
  double loss = 0.0;
  for (int64_t m = 0; m < inputs.hidden.size(0); ++m) {
    const double nll = Nll(inputs, m, Logits(inputs, m));
    if (!outputs.nll.is_null()) Store(outputs.nll, {m}, nll);
    loss += TokenWeight(inputs, m) * nll;
  }
  Store(outputs.loss, {0}, loss);
  return absl::OkStatus();
}

absl::Status ReferenceCrossEntropy::ForwardBackward(
    const CrossEntropyInputs& inputs, const CrossEntropyOutputs& outputs,
    const CrossEntropyGradients& gradients, TensorView workspace,
    Stream& stream) {
  RETURN_IF_ERROR(
      CheckCrossEntropy(inputs, outputs, &gradients, kReferenceOperands));
  RETURN_IF_ERROR(Forward(inputs, outputs, workspace, stream));
  const int64_t rows = inputs.hidden.size(0);
  const int64_t vocabulary = inputs.weight.size(0);
  const std::vector<double> d_logits =
      LogitGradients(inputs, Load(gradients.grad_scale, {0}));
  for (int64_t n = 0; n < inputs.hidden.size(1); ++n) {
    for (int64_t m = 0; m < rows; ++m) {
      double sum = 0.0;
      for (int64_t v = 0; v < vocabulary; ++v) {
        sum += d_logits[m * vocabulary + v] * Load(inputs.weight, {v, n});
      }
      Store(gradients.d_hidden, {m, n}, sum);
    }
    for (int64_t v = 0; v < vocabulary; ++v) {
      double sum = 0.0;
      for (int64_t m = 0; m < rows; ++m) {
        sum += d_logits[m * vocabulary + v] * Load(inputs.hidden, {m, n});
      }
      Accumulate(gradients.d_weight, {v, n}, sum);
    }
  }
  return absl::OkStatus();
}

std::unique_ptr<CrossEntropy> CreateReferenceCrossEntropy() {
  return std::make_unique<ReferenceCrossEntropy>();
}

}  // namespace longspan::kernels
