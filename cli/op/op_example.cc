#include "cli/op/op_example.h"

#include <utility>

#include "absl/strings/str_join.h"
#include "cli/op/tensor_shape.h"
#include "common/base/check.h"

namespace longspan::cli {
namespace {

using kernels::DType;

constexpr DType kExampleTypes[] = {DType::kF32, DType::kF64, DType::kBF16};

bool TakesPart(const OpTensor& tensor, const OpVariant& variant,
               Passes passes) {
  switch (tensor.role) {
    case TensorRole::kInput:
      return true;
    case TensorRole::kOptional:
      return variant.tensors.count(tensor.name) > 0;
    case TensorRole::kSeed:
      return passes == Passes::kForwardBackward;
    case TensorRole::kOptionalSeed:
      return passes == Passes::kForwardBackward &&
             variant.tensors.count(tensor.name) > 0;
    default:
      return false;
  }
}

// The numbers of tests/golden: a formula of the seed, so that other programs
// can make them, too.
double Unit(int64_t seed, int64_t i) {
  return static_cast<double>((31 * i * i + 7919 * i + 104729 * seed) % 10007) /
         10007;
}

int64_t WholeNumber(const OpTensor& about, int64_t i) {
  const auto low = static_cast<int64_t>(about.low);
  return low + i % (static_cast<int64_t>(about.high) - low);
}

template <typename T>
void AppendBytes(T value, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// As F64 or I64.
OwnedTensor Fill(const OpTensor& about, int64_t seed,
                 std::vector<int64_t> shape) {
  const bool whole =
      about.type == TensorType::kI32 || about.type == TensorType::kI64;
  OwnedTensor tensor = {about.name, whole ? "I64" : "F64", std::move(shape)};
  int64_t count = 1;
  for (int64_t size : tensor.shape) count *= size;
  for (int64_t i = 0; i < count; ++i) {
    if (whole) {
      AppendBytes(WholeNumber(about, i), tensor.bytes);
    } else {
      AppendBytes(about.low + (about.high - about.low) * Unit(seed, i),
                  tensor.bytes);
    }
  }
  return tensor;
}

OwnedTensor InType(const OwnedTensor& tensor, DType dtype) {
  auto bytes = ConvertElements(tensor.tensor(), dtype);
  LONGSPAN_CHECK_OK(bytes);
  return {tensor.name, FileTypeOf(dtype), tensor.shape, *std::move(bytes)};
}

// "B T H Dk" of a tensor in a variant; of d_o, that of o.
std::string PatternOf(const OpDescription& op, const OpVariant& variant,
                      const OpTensor& about) {
  const OpTensor& giver = ShapeGiver(op, about);
  const auto choice = variant.tensors.find(giver.name);
  return AlternativeShapes(
      giver.shape)[choice == variant.tensors.end() ? 0 : choice->second];
}

// Whether the op has tensors that may be bf16.
bool HasOperands(const OpDescription& op) {
  for (const OpTensor& tensor : op.tensors) {
    if (tensor.type == TensorType::kOperand) return true;
  }
  return false;
}

}  // namespace

std::vector<OwnedTensor> ExampleTensors(const OpDescription& op,
                                        const OpVariant& variant, DType dtype,
                                        Passes passes) {
  ShapeSizes sizes;
  sizes.SetLeading({2, 3});
  for (const auto& [name, size] : op.example_sizes) sizes.Set(name, size);
  for (const auto& [name, size] : variant.sizes) sizes.Set(name, size);
  std::vector<OwnedTensor> tensors;
  int64_t seed = 0;
  for (const OpTensor& about : op.tensors) {
    ++seed;
    if (!TakesPart(about, variant, passes)) continue;
    const OwnedTensor exact =
        Fill(about, seed, sizes.ShapeOf(PatternOf(op, variant, about)));
    tensors.push_back(InType(exact, ElementType(about.type, dtype)));
  }
  return tensors;
}

absl::StatusOr<std::vector<OwnedTensor>> RunExample(const OpDescription& op,
                                                    const OpVariant& variant,
                                                    DType dtype, Passes passes,
                                                    const OpPlace& place) {
  const std::vector<OwnedTensor> tensors =
      ExampleTensors(op, variant, dtype, passes);
  std::vector<NamedTensor> views;
  for (const OwnedTensor& tensor : tensors) views.push_back(tensor.tensor());
  return ExecuteOp({&op, variant.flags, dtype}, place, views);
}

SupportedTypes FindSupportedTypes(const OpDescription& op,
                                  const OpVariant& variant, Passes passes,
                                  const OpPlace& place) {
  SupportedTypes supported;
  for (DType dtype : kExampleTypes) {
    if (dtype == DType::kBF16 && !HasOperands(op)) continue;
    const absl::Status status =
        RunExample(op, variant, dtype, passes, place).status();
    if (status.ok()) {
      supported.types.push_back(dtype);
    } else if (supported.refusal.empty()) {
      supported.refusal = std::string(status.message());
    }
  }
  return supported;
}

std::string TypeNames(const std::vector<DType>& types) {
  std::vector<std::string> names;
  for (DType dtype : types) names.push_back(kernels::DTypeName(dtype));
  return names.empty() ? "-" : absl::StrJoin(names, ", ");
}

}  // namespace longspan::cli
