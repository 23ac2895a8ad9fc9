#include "cli/op/named_tensor.h"

#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "kernels/api/bfloat16.h"

namespace longspan::cli {
namespace {

using kernels::BFloat16;
using kernels::DType;

constexpr std::pair<const char*, DType> kTypes[] = {
    {"F32", DType::kF32}, {"F64", DType::kF64}, {"BF16", DType::kBF16},
    {"I32", DType::kI32}, {"I64", DType::kI64},
};

template <typename T>
T ElementAt(std::string_view bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
void Append(T value, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

double NumberAt(DType type, std::string_view bytes, size_t index) {
  if (type == DType::kF64) return ElementAt<double>(bytes, index);
  if (type == DType::kF32) return ElementAt<float>(bytes, index);
  if (type == DType::kI32) return ElementAt<int32_t>(bytes, index);
  if (type == DType::kI64) {
    return static_cast<double>(ElementAt<int64_t>(bytes, index));
  }
  return kernels::ToFloat(ElementAt<BFloat16>(bytes, index));
}

std::string Reals(DType from, DType to, std::string_view bytes) {
  const size_t count = bytes.size() / kernels::BytesPerElement(from);
  std::string out;
  out.reserve(count * kernels::BytesPerElement(to));
  for (size_t i = 0; i < count; ++i) {
    const double value = NumberAt(from, bytes, i);
    const auto narrow = static_cast<float>(value);
    if (to == DType::kF64) Append(value, out);
    if (to == DType::kF32) Append(narrow, out);
    if (to == DType::kBF16) Append(kernels::ToBFloat16(narrow), out);
  }
  return out;
}

absl::StatusOr<std::string> WholeNumbers(const NamedTensor& tensor,
                                         DType from) {
  std::string out;
  const size_t count = tensor.bytes.size() / kernels::BytesPerElement(from);
  for (size_t i = 0; i < count; ++i) {
    if (from == DType::kI32) {
      Append(int64_t{ElementAt<int32_t>(tensor.bytes, i)}, out);
      continue;
    }
    const auto value = ElementAt<int64_t>(tensor.bytes, i);
    if (value != static_cast<int32_t>(value)) {
      return absl::InvalidArgumentError(absl::StrCat(
          tensor.name, " holds ", value, ", the op takes numbers of 32 bits"));
    }
    Append(static_cast<int32_t>(value), out);
  }
  return out;
}

}  // namespace

std::string TypeAndShape(const std::string& dtype,
                         const std::vector<int64_t>& shape) {
  return absl::StrCat(dtype, "[", absl::StrJoin(shape, ", "), "]");
}

const char* FileTypeOf(DType dtype) {
  for (const auto& [name, type] : kTypes) {
    if (type == dtype) return name;
  }
  return "U8";
}

bool OpTypeOf(const std::string& file_type, DType* dtype) {
  for (const auto& [name, type] : kTypes) {
    if (name != file_type) continue;
    *dtype = type;
    return true;
  }
  return false;
}

bool IsReal(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kBF16;
}

absl::StatusOr<std::string> ConvertElements(const NamedTensor& tensor,
                                            DType to) {
  DType from = DType::kU8;
  if (!OpTypeOf(tensor.dtype, &from) || IsReal(from) != IsReal(to)) {
    return absl::InvalidArgumentError(absl::StrCat(
        tensor.name, " is ", TypeAndShape(tensor.dtype, tensor.shape),
        ", needs ", IsReal(to) ? "F32, F64 or BF16" : "I32 or I64"));
  }
  if (from == to) return std::string(tensor.bytes);
  if (IsReal(to)) return Reals(from, to, tensor.bytes);
  return WholeNumbers(tensor, from);
}

std::vector<double> ElementsOf(const NamedTensor& tensor) {
  DType type = DType::kU8;
  LONGSPAN_CHECK(OpTypeOf(tensor.dtype, &type)) << tensor.dtype;
  std::vector<double> values(tensor.bytes.size() /
                             kernels::BytesPerElement(type));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = NumberAt(type, tensor.bytes, i);
  }
  return values;
}

}  // namespace longspan::cli
