#include "worker/tensor/upload_buffer.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {

using kernels::ConstTensorView;

absl::StatusOr<ConstTensorView> UploadBuffer::Put(kernels::DeviceMemory& memory,
                                                  const Transfer& transfer,
                                                  ConstTensorView host) {
  LONGSPAN_CHECK(host.rank() == 1) << host.DebugString();
  if (transfer.direct()) return host;
  const int64_t count = host.element_count();
  if (copy_.count() < count || copy_.dtype() != host.dtype()) {
    ASSIGN_OR_RETURN(copy_, Tensor::Create(memory, host.dtype(), count));
  }
  const kernels::TensorView copy = copy_.View(0, {count});
  RETURN_IF_ERROR(transfer.Upload(host.data(), copy));
  return ConstTensorView(copy);
}

}  // namespace longspan::worker
