#include "worker/tensor/tensor.h"

#include <cstddef>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {

absl::StatusOr<Tensor> Tensor::Create(kernels::DeviceMemory& memory,
                                      kernels::DType dtype, int64_t count) {
  Tensor tensor;
  ASSIGN_OR_RETURN(
      tensor.buffer_,
      DeviceBuffer::Allocate(memory, count * kernels::BytesPerElement(dtype)));
  tensor.dtype_ = dtype;
  tensor.count_ = count;
  return tensor;
}

kernels::TensorView Tensor::View(int64_t offset,
                                 std::initializer_list<int64_t> shape) const {
  auto* data = static_cast<std::byte*>(buffer_.data()) +
               offset * kernels::BytesPerElement(dtype_);
  kernels::TensorView view(data, dtype_, shape);
  LONGSPAN_CHECK(offset >= 0 && offset + view.element_count() <= count_)
      << "elements [" << offset << ", " << offset + view.element_count()
      << ") of " << count_;
  return view;
}

}  // namespace longspan::worker
