// The memory that a backend's ops read and write.
//
// On host backends it is ordinary memory; on a GPU no host code may touch it,
// and everything goes through the two copies. Copies are ordered with the ops
// of their stream. Owned by the backend, which must outlive what was
// allocated. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/stream.h"

namespace longspan::kernels {

class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;

  // Zeroed memory aligned to 256 bytes; null when bytes is 0. The zeros are
  // there for every op submitted after the call, on any stream. Not for use
  // inside a step. kResourceExhausted, with the sizes, when there is too
  // little.
  virtual absl::StatusOr<void*> Allocate(int64_t bytes) = 0;
  // Takes back what Allocate gave, once the ops that use it have finished.
  virtual void Free(void* data, int64_t bytes) = 0;

  // `host` may be reused when the call returns.
  virtual absl::Status CopyToDevice(const void* host, void* device,
                                    int64_t bytes, Stream& stream) = 0;
  // `host` holds the bytes once `stream` has been synchronised.
  virtual absl::Status CopyToHost(const void* device, void* host, int64_t bytes,
                                  Stream& stream) = 0;

  // Between two places of this memory, which do not overlap.
  virtual absl::Status Copy(const void* from, void* to, int64_t bytes,
                            Stream& stream) = 0;

  // Whether host code may use the pointers directly.
  virtual bool host_accessible() const = 0;

  // Allocated now, the most ever allocated, and what the device has (0:
  // unknown).
  virtual int64_t used_bytes() const = 0;
  virtual int64_t high_water_bytes() const = 0;
  virtual int64_t total_bytes() const = 0;
};

}  // namespace longspan::kernels
