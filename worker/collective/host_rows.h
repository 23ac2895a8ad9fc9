// Host memory on its way through the device: a row for every rank, of which
// this rank's is uploaded before an AllGather and all are downloaded after it.
// Internal to nccl_group. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "kernels/api/device_memory.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"
#include "worker/collective/device_scratch.h"

namespace longspan::worker {

class HostRows {
 public:
  // Gets the rows, side by side, in rank order.
  using Use = std::function<void(const char* rows)>;

  // `stream` is for the copies and runs nothing else. Pointers outlive it.
  HostRows(kernels::DeviceMemory* memory, kernels::Stream* stream)
      : memory_(memory), stream_(stream), block_(memory, stream) {}

  // Lays out rows of the given sizes and fills row `own`; `send` may be reused
  // when this returns.
  absl::Status Upload(const std::vector<int64_t>& row_bytes, int own,
                      const void* send);

  const std::vector<kernels::TensorView>& rows() const { return rows_; }

  // The AllGather must have finished.
  absl::Status Download(const Use& use);

  // False from Upload to Download: the device may be reading and writing.
  bool at_rest() const { return at_rest_; }

 private:
  kernels::DeviceMemory* const memory_;
  kernels::Stream* const stream_;
  DeviceScratch block_;
  std::vector<kernels::TensorView> rows_;  // bytes
  std::vector<char> host_;
  bool at_rest_ = true;
};

// Rows that are used again and again, unless an AllGather failed on them: it
// may still be under way. The pool outlives what it lends.
class HostRowsPool {
 public:
  HostRowsPool(kernels::DeviceMemory* memory, kernels::Stream* stream)
      : memory_(memory), stream_(stream) {}

  std::shared_ptr<HostRows> Lend();

  // Leaves everything to the end of the process: the device may still write.
  void Leak();

 private:
  kernels::DeviceMemory* const memory_;
  kernels::Stream* const stream_;
  std::vector<std::unique_ptr<HostRows>> idle_;
  std::vector<std::unique_ptr<HostRows>> stranded_;
};

}  // namespace longspan::worker
