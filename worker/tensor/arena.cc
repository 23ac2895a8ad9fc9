#include "worker/tensor/arena.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

constexpr int64_t kAlignment = 64;

}  // namespace

absl::StatusOr<Arena> Arena::Create(kernels::DeviceMemory& memory,
                                    int64_t bytes) {
  ASSIGN_OR_RETURN(DeviceBuffer buffer, DeviceBuffer::Allocate(memory, bytes));
  return Arena(std::move(buffer));
}

kernels::TensorView Arena::Allocate(std::string_view name, kernels::DType dtype,
                                    std::initializer_list<int64_t> shape) {
  int64_t bytes = kernels::BytesPerElement(dtype);
  for (int64_t size : shape) bytes *= size;
  return kernels::TensorView(Take(name, bytes), dtype, shape);
}

kernels::TensorView Arena::AllocateWorkspace(std::string_view name,
                                             int64_t bytes) {
  if (bytes == 0) return kernels::TensorView();
  return Allocate(name, kernels::DType::kU8, {bytes});
}

void* Arena::Take(std::string_view name, int64_t bytes) {
  const int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  LONGSPAN_CHECK(used_ + rounded <= capacity())
      << "buffer '" << std::string(name) << "' of " << bytes
      << " bytes does not fit: " << used_ << " of the planned " << capacity()
      << " bytes are in use";
  void* data = static_cast<std::byte*>(buffer_.data()) + used_;
  used_ += rounded;
  high_water_ = std::max(high_water_, used_);
  if (recording_on_) recording_.push_back({std::string(name), rounded});
  return data;
}

void Arena::Release(Mark mark) {
  LONGSPAN_CHECK(0 <= mark && mark <= used_)
      << "mark " << mark << " of " << used_;
  used_ = mark;
}

void Arena::StartRecording() {
  recording_on_ = true;
  recording_.clear();
}

}  // namespace longspan::worker
