// Runs ops of a backend whose memory the host cannot touch on operands that
// lie in host memory, so that tests written for host memory serve a GPU too.
//
// Every call copies its operands to the device, packed and contiguous, poison
// of outputs and workspaces included, runs the op, waits, and copies the
// outputs back. One op at a time; the backend must outlive what is made here.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/api/backend.h"

namespace longspan::kernels {

// The operands of one call on the device; freed with the object.
class DeviceMirror {
 public:
  DeviceMirror(Backend& backend, Stream& stream)
      : memory_(backend.memory()), stream_(stream) {}
  ~DeviceMirror();
  DeviceMirror(const DeviceMirror&) = delete;
  DeviceMirror& operator=(const DeviceMirror&) = delete;

  // The same numbers on the device; null stays null. Outputs come back by
  // Finish().
  ConstTensorView In(const ConstTensorView& host);
  TensorView Out(const TensorView& host);
  Documents In(Documents documents);

  // Waits, and copies outputs back if `status` is OK. Returns the first error.
  absl::Status Finish(const absl::Status& status);

 private:
  struct Block {
    void* device;
    int64_t bytes;
    TensorView host;  // where it is copied back; null for inputs
  };
  void* Upload(const void* host, int64_t bytes, const TensorView& back);

  DeviceMemory& memory_;
  Stream& stream_;
  std::vector<Block> blocks_;
};

std::unique_ptr<LinearAttention> MirrorLinearAttention(Backend& backend);
std::unique_ptr<SoftmaxAttention> MirrorSoftmaxAttention(Backend& backend);

}  // namespace longspan::kernels
