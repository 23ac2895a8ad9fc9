#include "worker/model/parameters.h"

#include <cstring>

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/model_spec/communication_plan.h"

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

template <typename T>
void Fill(const ParameterInfo& info, uint64_t seed, T* out) {
  const RandomKey key = {seed, RandomPurpose::kParameterInit,
                         HashName(info.name)};
  for (int64_t i = 0; i < info.count; ++i) {
    switch (info.initial) {
      case InitialValue::kNormal:
        out[i] = static_cast<T>(info.standard_deviation * RandomNormal(key, i));
        break;
      case InitialValue::kZero:
        out[i] = 0;
        break;
      case InitialValue::kOne:
        out[i] = 1;
        break;
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
    const ModelSpec& spec, kernels::DType dtype, bool with_gradients) {
  auto parameters = absl::WrapUnique(new Parameters());
  parameters->layout_ = LayoutParameters(spec);
  const int64_t total = parameters->layout_.total;
  ASSIGN_OR_RETURN(parameters->values_, Tensor::Create(dtype, total));
  if (with_gradients) {
    ASSIGN_OR_RETURN(parameters->gradients_,
                     Tensor::Create(dtype, total + kGradientTail));
  }
  return parameters;
}

void Parameters::Initialize(uint64_t seed) {
  for (const ParameterInfo& info : layout_.parameters) {
    const TensorView value = values_.View(info.offset, {info.count});
    if (dtype() == kernels::DType::kF64) {
      Fill(info, seed, value.data_as<double>());
    } else {
      Fill(info, seed, value.data_as<float>());
    }
  }
}

TensorView Parameters::gradients() const {
  return gradients_.View(0, {layout_.total});
}

TensorView Parameters::tail() const {
  return gradients_.View(layout_.total, {kGradientTail});
}

void Parameters::ZeroGradients() {
  std::memset(gradients_.view().data(), 0, gradients_.bytes());
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
