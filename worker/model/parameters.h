// The parameters of a model and their gradients: two flat buffers of the same
// layout (common/model_spec/parameter_layout.h), and views by name.
//
// The gradient buffer has a tail of kGradientTail elements behind it, which is
// summed over ranks together with the gradients; tail()[0] carries the loss.
// Gradients accumulate until ZeroGradients(). Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model_spec/parameter_layout.h"
#include "kernels/api/tensor_view.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {

class Parameters {
 public:
  // Zero parameters; without gradients for evaluate and generate.
  static absl::StatusOr<std::unique_ptr<Parameters>> Create(
      const ModelSpec& spec, kernels::DType dtype, bool with_gradients);

  // Initial values, a pure function of (seed, parameter name, element index):
  // independent of ranks, threads and of the other parameters.
  void Initialize(uint64_t seed);

  const ParameterLayout& layout() const { return layout_; }
  kernels::DType dtype() const { return values_.dtype(); }
  bool has_gradients() const { return !gradients_.empty(); }

  // The flat buffers: [total], and [total + kGradientTail].
  kernels::TensorView values() const { return values_.view(); }
  kernels::TensorView gradients() const;  // [total]
  kernels::TensorView gradients_and_tail() const { return gradients_.view(); }
  kernels::TensorView tail() const;  // [kGradientTail]
  void ZeroGradients();

  // A parameter in its shape (rank 1 to 3); aborts when the name is unknown.
  kernels::TensorView Value(std::string_view name) const;
  kernels::TensorView Gradient(std::string_view name) const;  // null without

  // The matrices from `first` to `last` of one group as a single one,
  // [sum of rows, columns].
  kernels::TensorView PackedValue(std::string_view first,
                                  std::string_view last) const;
  kernels::TensorView PackedGradient(std::string_view first,
                                     std::string_view last) const;

 private:
  Parameters() = default;
  kernels::TensorView Packed(const Tensor& tensor, std::string_view first,
                             std::string_view last) const;

  ParameterLayout layout_;
  Tensor values_;
  Tensor gradients_;
};

}  // namespace longspan::worker
