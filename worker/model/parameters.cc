#include "worker/model/parameters.h"

#include <algorithm>
#include <cmath>

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/model_spec/communication_plan.h"
#include "common/model_spec/head_slices.h"

namespace longspan::worker {
namespace {

using kernels::TensorView;

// FNV-1a: the stream of a parameter's random numbers.
uint32_t HashName(std::string_view name) {
  uint32_t hash = 2166136261u;
  for (char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  }
  return hash;
}

// Elements that are made on the host at a time.
constexpr int64_t kPieceElements = 1 << 20;

// Elements [first, first + numbers.size()) of a parameter.
void Fill(const ParameterInfo& info, uint64_t seed, int64_t first,
          std::vector<double>& numbers) {
  const RandomKey key = {seed, RandomPurpose::kParameterInit,
                         HashName(info.name)};
  for (size_t i = 0; i < numbers.size(); ++i) {
    switch (info.initial) {
      case InitialValue::kNormal:
        numbers[i] = info.standard_deviation *
                     RandomNormal(key, first + static_cast<int64_t>(i));
        break;
      case InitialValue::kZero:
        numbers[i] = 0.0;
        break;
      case InitialValue::kOne:
        numbers[i] = 1.0;
        break;
      case InitialValue::kLogRate:
        numbers[i] = std::log(1.0 + 15.0 * RandomUniform(key, first + i));
        break;
      case InitialValue::kTimeStep: {
        const double step =
            1e-3 * std::pow(100.0, RandomUniform(key, first + i));
        numbers[i] = std::log(std::expm1(step));
        break;
      }
      case InitialValue::kUnitMatrix: {
        const int64_t element = first + static_cast<int64_t>(i);
        const int64_t columns = info.shape[1];
        numbers[i] = element / columns == element % columns ? 1.0 : 0.0;
        break;
      }
    }
  }
}

TensorView Shaped(const Tensor& tensor, const ParameterInfo& info) {
  const std::vector<int64_t>& shape = info.shape;
  if (shape.size() == 1) return tensor.View(info.offset, {shape[0]});
  if (shape.size() == 2) return tensor.View(info.offset, {shape[0], shape[1]});
  return tensor.View(info.offset, {shape[0], shape[1], shape[2]});
}

const ParameterInfo& Require(const ParameterLayout& layout,
                             std::string_view name) {
  const ParameterInfo* info = layout.Find(name);
  LONGSPAN_CHECK(info != nullptr) << "no parameter " << std::string(name);
  return *info;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Parameters>> Parameters::Create(
    const RankContext& context, const ModelSpec& spec, bool with_gradients) {
  auto parameters = absl::WrapUnique(new Parameters(context));
  parameters->layout_ = LayoutParameters(spec);
  const int64_t total = parameters->layout_.total;
  kernels::DeviceMemory& memory = context.backend->memory();
  const kernels::DType dtype = context.accumulator();
  ASSIGN_OR_RETURN(parameters->values_, Tensor::Create(memory, dtype, total));
  if (context.dtype != dtype) {
    ASSIGN_OR_RETURN(parameters->compute_,
                     Tensor::Create(memory, context.dtype, total));
  }
  if (with_gradients) {
    ASSIGN_OR_RETURN(parameters->gradients_,
                     Tensor::Create(memory, dtype, total + kGradientTail));
  }
  RETURN_IF_ERROR(parameters->CreateParts(spec));
  return parameters;
}

absl::Status Parameters::CreateParts(const ModelSpec& spec) {
  parts_.resize(spec.layer_count);
  for (int layer = 0; layer < spec.layer_count; ++layer) {
    const LayerKind kind = LayerKindAt(spec, layer);
    if (!HeadsAreCut(context_.method, context_.softmax_method, kind,
                     context_.ranks())) {
      continue;
    }
    const HeadCut cut = CutLayer(spec, kind, context_.rank(), context_.ranks());
    ASSIGN_OR_RETURN(parts_[layer],
                     Create(context_.Alone(), OwnLayerSpec(spec, kind, cut),
                            has_gradients()));
  }
  return absl::OkStatus();
}

Parameters& Parameters::Part(int layer) const {
  LONGSPAN_CHECK(parts_[layer] != nullptr) << "layer " << layer << " is whole";
  return *parts_[layer];
}

absl::Status Parameters::Initialize(uint64_t seed) {
  for (const ParameterInfo& info : layout_.parameters) {
    for (int64_t done = 0; done < info.count; done += kPieceElements) {
      std::vector<double> numbers(std::min(kPieceElements, info.count - done));
      Fill(info, seed, done, numbers);
      RETURN_IF_ERROR(transfer().UploadNumbers(
          numbers, values_.View(info.offset + done,
                                {static_cast<int64_t>(numbers.size())})));
    }
  }
  return RefreshCompute();
}

absl::Status Parameters::RefreshCompute() const {
  if (compute_.empty()) return absl::OkStatus();
  return context_.backend->elementwise().Copy(values_.view(), compute_.view(),
                                              *context_.stream);
}

absl::StatusOr<Tensor> Parameters::Constant(
    absl::Span<const double> numbers) const {
  ASSIGN_OR_RETURN(Tensor tensor,
                   Tensor::Create(context_.backend->memory(), dtype(),
                                  static_cast<int64_t>(numbers.size())));
  RETURN_IF_ERROR(transfer().UploadNumbers(numbers, tensor.view()));
  return tensor;
}

TensorView Parameters::gradients() const {
  return gradients_.View(0, {layout_.total});
}

TensorView Parameters::tail() const {
  return gradients_.View(layout_.total, {kGradientTail});
}

absl::Status Parameters::ZeroGradients() {
  return context_.backend->elementwise().SetZero(gradients_.view(),
                                                 *context_.stream);
}

TensorView Parameters::compute() const {
  return compute_.empty() ? TensorView() : compute_.view();
}

TensorView Parameters::Compute(std::string_view name) const {
  return Shaped(ComputeTensor(), Require(layout_, name));
}

TensorView Parameters::PackedCompute(std::string_view first,
                                     std::string_view last) const {
  return Packed(ComputeTensor(), first, last);
}

TensorView Parameters::Value(std::string_view name) const {
  return Shaped(values_, Require(layout_, name));
}

TensorView Parameters::Gradient(std::string_view name) const {
  if (!has_gradients()) return TensorView();
  return Shaped(gradients_, Require(layout_, name));
}

TensorView Parameters::PackedValue(std::string_view first,
                                   std::string_view last) const {
  return Packed(values_, first, last);
}

TensorView Parameters::PackedGradient(std::string_view first,
                                      std::string_view last) const {
  if (!has_gradients()) return TensorView();
  return Packed(gradients_, first, last);
}

TensorView Parameters::Packed(const Tensor& tensor, std::string_view first,
                              std::string_view last) const {
  const ParameterInfo& begin = Require(layout_, first);
  const ParameterInfo& end = Require(layout_, last);
  const int64_t columns = begin.count / begin.shape[0];
  const int64_t count = end.offset + end.count - begin.offset;
  LONGSPAN_CHECK(count % columns == 0)
      << std::string(first) << " to " << std::string(last)
      << " are not one matrix";
  return tensor.View(begin.offset, {count / columns, columns});
}

}  // namespace longspan::worker
