// A tensor that owns its memory: parameters, gradients, moments, states.
// Activations do not: they are views into an arena (arena.h).
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/api/tensor_view.h"
#include "worker/tensor/device_buffer.h"

namespace longspan::worker {

// A flat, zero-initialised buffer in the memory of a backend. Movable; views
// into it stay valid as long as the tensor (or what it was moved into) lives.
class Tensor {
 public:
  static absl::StatusOr<Tensor> Create(kernels::DeviceMemory& memory,
                                       kernels::DType dtype, int64_t count);

  Tensor() = default;

  kernels::TensorView view() const {
    return kernels::TensorView(buffer_.data(), dtype_, {count_});
  }
  // Elements [offset, offset + product of shape) in the given shape.
  kernels::TensorView View(int64_t offset,
                           std::initializer_list<int64_t> shape) const;

  bool empty() const { return count_ == 0; }
  int64_t count() const { return count_; }
  int64_t bytes() const { return buffer_.bytes(); }
  kernels::DType dtype() const { return dtype_; }

 private:
  DeviceBuffer buffer_;
  kernels::DType dtype_ = kernels::DType::kF32;
  int64_t count_ = 0;
};

}  // namespace longspan::worker
