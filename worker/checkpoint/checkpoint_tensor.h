// A tensor, or a slice of one, as it goes into a checkpoint.
//
// A shard holds slices of named global tensors, whatever the mesh: the shard's
// safetensors metadata has, for each tensor that is not whole, the entry
// "slice:<name>" -> {"global_shape": [...], "offset": [...]}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/tensor_view.h"
#include "worker/tensor/transfer.h"

namespace longspan::worker {

struct CheckpointTensor {
  std::string name;
  kernels::ConstTensorView data;      // contiguous, the slice's shape
  std::vector<int64_t> global_shape;  // empty: the slice is the tensor
  std::vector<int64_t> offset;        // of the slice; empty: zeros
};

// Where a slice lies in its tensor.
struct SlicePlace {
  std::vector<int64_t> global_shape;
  std::vector<int64_t> offset;
};

// "F32" and so on; empty for a type that checkpoints do not hold.
std::string_view SafetensorsTypeOf(kernels::DType dtype);

std::vector<int64_t> ShapeOf(kernels::ConstTensorView view);

// Metadata key and value of a slice, and back. Parsing checks that offset and
// shape lie within the global shape (kDataLoss).
std::string SliceKey(std::string_view name);
std::string SliceToJson(const SlicePlace& place);
absl::StatusOr<SlicePlace> SliceFromJson(std::string_view json,
                                         absl::Span<const int64_t> shape);

// SHA-256 over names, types, shapes and bytes of the tensors in their order:
// equal on all ranks that hold equal parameters.
absl::StatusOr<std::string> DigestOf(absl::Span<const CheckpointTensor> tensors,
                                     const Transfer& transfer = Transfer());

}  // namespace longspan::worker
