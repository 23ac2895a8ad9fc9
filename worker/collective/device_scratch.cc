#include "worker/collective/device_scratch.h"

#include "common/base/status_macros.h"

namespace longspan::worker {

absl::StatusOr<char*> DeviceScratch::Take(int64_t bytes) {
  if (bytes <= bytes_) return data_;
  if (data_ != nullptr) {
    RETURN_IF_ERROR(stream_->Synchronize());
    memory_->Free(data_, bytes_);
    data_ = nullptr;
  }
  bytes_ = 0;
  ASSIGN_OR_RETURN(void* fresh, memory_->Allocate(bytes));
  data_ = static_cast<char*>(fresh);
  bytes_ = bytes;
  return data_;
}

}  // namespace longspan::worker
