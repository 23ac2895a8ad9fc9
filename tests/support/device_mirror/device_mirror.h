// Runs ops of a backend whose memory the host cannot touch on operands that
// lie in host memory, so that tests written for host memory serve a GPU too.
//
// Every call copies its operands to the device, with their strides, their
// alignment up to 256 bytes, the gaps between their rows and the poison of
// outputs and workspaces, runs the op, waits, and copies back what changed.
// Operands that are the same host memory are the same device memory. Around
// each lie guards that read as NaN; an op that writes there fails.
//
// One op at a time; the backend must outlive what is made here.
#pragma once

#include <cstddef>
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
  // Finish(), scratch does not.
  ConstTensorView In(const ConstTensorView& host);
  TensorView Out(const TensorView& host);
  TensorView Scratch(const TensorView& host);
  Documents In(Documents documents);

  // Waits, and copies outputs back if `status` is OK. Returns the first error;
  // kOutOfRange if an op wrote beside its operands.
  absl::Status Finish(const absl::Status& status);

 private:
  enum class Use { kRead, kScratch, kWritten };
  struct Block {
    std::byte* host;
    int64_t bytes;  // of the operand
    void* device;   // with the guards
    std::vector<std::byte> uploaded;
    Use use;
  };
  std::byte* Upload(const void* host, int64_t bytes, Use use);
  absl::Status Download(const Block& block);

  DeviceMemory& memory_;
  Stream& stream_;
  std::vector<Block> blocks_;
};

std::unique_ptr<LinearAttention> MirrorLinearAttention(Backend& backend);
std::unique_ptr<SoftmaxAttention> MirrorSoftmaxAttention(Backend& backend);
std::unique_ptr<Dense> MirrorDense(Backend& backend);
std::unique_ptr<CrossEntropy> MirrorCrossEntropy(Backend& backend);
std::unique_ptr<Elementwise> MirrorElementwise(Backend& backend);
std::unique_ptr<ShortConvolution> MirrorShortConvolution(Backend& backend);
std::unique_ptr<Optimizer> MirrorOptimizer(Backend& backend);
std::unique_ptr<Sampling> MirrorSampling(Backend& backend);

}  // namespace longspan::kernels
