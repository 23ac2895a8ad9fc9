// The parameters of a model and their gradients: two flat buffers of the same
// layout (common/model_spec/parameter_layout.h), and views by name.
//
// With bf16 activations, values and gradients are f32 and a third buffer holds
// the values rounded to bf16, for matrices to be multiplied with; the optimiser
// writes both. All three lie in the backend's memory.
//
// The gradient buffer has a tail of kGradientTail elements behind it, which is
// summed over ranks together with the gradients; tail()[0] carries the loss.
// Gradients accumulate until ZeroGradients(). Not thread-safe.
//
// A layer whose heads the ranks share (common/model_spec/head_slices.h) has a
// part beside it: a copy of what this rank computes with.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model_spec/parameter_layout.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {

class Parameters {
 public:
  // Zero parameters; without gradients for evaluate and generate. Backend,
  // stream and type are the context's; the first two must outlive them.
  static absl::StatusOr<std::unique_ptr<Parameters>> Create(
      const RankContext& context, const ModelSpec& spec, bool with_gradients);

  // Initial values, a pure function of (seed, parameter name, element index):
  // independent of ranks, threads and of the other parameters.
  absl::Status Initialize(uint64_t seed);

  // Rounds the values anew, after anything but the optimiser has set them.
  absl::Status RefreshCompute() const;

  const ParameterLayout& layout() const { return layout_; }
  // A small tensor of the parameters' type, for what a layer derives from the
  // spec.
  absl::StatusOr<Tensor> Constant(absl::Span<const double> numbers) const;
  Transfer transfer() const { return context_.transfer(); }
  // Of Create.
  const RankContext& context() const { return context_; }
  // Of values and gradients: f32 or f64.
  kernels::DType dtype() const { return values_.dtype(); }
  bool has_gradients() const { return !gradients_.empty(); }

  // The flat buffers: [total], and [total + kGradientTail].
  kernels::TensorView values() const { return values_.view(); }
  kernels::TensorView gradients() const;  // [total]
  kernels::TensorView gradients_and_tail() const { return gradients_.view(); }
  kernels::TensorView tail() const;  // [kGradientTail]
  absl::Status ZeroGradients();
  // [total] bf16, or null where matrices are multiplied with the values.
  kernels::TensorView compute() const;

  // A parameter in its shape (rank 1 to 3); aborts when the name is unknown.
  // Matrices are used through Compute.
  kernels::TensorView Value(std::string_view name) const;
  kernels::TensorView Compute(std::string_view name) const;
  kernels::TensorView Gradient(std::string_view name) const;  // null without

  // The matrices from `first` to `last` of one group as a single one,
  // [sum of rows, columns].
  kernels::TensorView PackedValue(std::string_view first,
                                  std::string_view last) const;
  kernels::TensorView PackedCompute(std::string_view first,
                                    std::string_view last) const;
  kernels::TensorView PackedGradient(std::string_view first,
                                     std::string_view last) const;

  // Of a layer whose heads are cut, with the same gradients or none; aborts
  // for another. The layer keeps it up to date.
  Parameters& Part(int layer) const;

 private:
  explicit Parameters(const RankContext& context) : context_(context) {}
  absl::Status CreateParts(const ModelSpec& spec);
  const Tensor& ComputeTensor() const {
    return compute_.empty() ? values_ : compute_;
  }
  kernels::TensorView Packed(const Tensor& tensor, std::string_view first,
                             std::string_view last) const;

  const RankContext context_;
  ParameterLayout layout_;
  Tensor values_;
  Tensor compute_;
  Tensor gradients_;
  std::vector<std::unique_ptr<Parameters>> parts_;  // by layer; null: not cut
};

}  // namespace longspan::worker
