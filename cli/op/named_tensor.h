// Tensors on their way between files and ops.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/tensor_view.h"

namespace longspan::cli {

// A contiguous tensor in host memory, with the type's name in safetensors
// files ("F32"). `bytes` is not owned, and not aligned.
struct NamedTensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::string_view bytes;
};

// The same, with its memory.
struct OwnedTensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;

  NamedTensor tensor() const { return {name, dtype, shape, bytes}; }
};

// "F32[2, 64]"
std::string TypeAndShape(const std::string& dtype,
                         const std::vector<int64_t>& shape);

// "F32" of kF32, and back; nothing for types that ops do not have.
const char* FileTypeOf(kernels::DType dtype);
bool OpTypeOf(const std::string& file_type, kernels::DType* dtype);
bool IsReal(kernels::DType dtype);

// The elements in another type. Real numbers are rounded to nearest;
// kInvalidArgument for whole numbers that do not fit, and between the two
// kinds.
absl::StatusOr<std::string> ConvertElements(const NamedTensor& tensor,
                                            kernels::DType to);

// The elements as doubles.
std::vector<double> ElementsOf(const NamedTensor& tensor);

}  // namespace longspan::cli
