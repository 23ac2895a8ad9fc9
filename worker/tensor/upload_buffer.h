// Host numbers where the ops of a backend can read them: themselves where ops
// read host memory, else a copy in device memory that is made again in the same
// place each time.
#pragma once

#include "absl/status/statusor.h"
#include "kernels/api/device_memory.h"
#include "kernels/api/tensor_view.h"
#include "worker/tensor/tensor.h"
#include "worker/tensor/transfer.h"

namespace longspan::worker {

class UploadBuffer {
 public:
  // Valid until the next Put, and as long as `host` is; contiguous. Allocates
  // when the numbers are more than ever before.
  absl::StatusOr<kernels::ConstTensorView> Put(kernels::DeviceMemory& memory,
                                               const Transfer& transfer,
                                               kernels::ConstTensorView host);

 private:
  Tensor copy_;
};

}  // namespace longspan::worker
