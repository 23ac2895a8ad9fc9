// Streams of the CUDA backend: ops are enqueued, and nothing blocks but
// Synchronize.
//
// An op's host code begins with CudaStream::Of(stream), which also makes the
// stream's device current for the calling thread, and launches on
// native_handle(). A CudaStream and its graphs must not outlive the backend.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/stream.h"
#include "kernels/cuda/runtime.h"

namespace longspan::kernels::cuda {

class CudaStream : public Stream {
 public:
  // What a matrix product may use as scratch, per stream.
  static constexpr int64_t kScratchBytes = int64_t{32} << 20;

  static absl::StatusOr<std::unique_ptr<CudaStream>> Create(
      int device, const DeviceProperties& properties);
  ~CudaStream() override;

  // `stream` as the CUDA stream that it is; any other is a broken invariant.
  static CudaStream& Of(Stream& stream);

  absl::Status Synchronize() override;
  absl::Status WaitFor(Stream& other) override;
  absl::StatusOr<std::unique_ptr<Event>> Record() override;
  absl::Status WaitFor(const Event& event) override;
  bool can_capture() const override { return true; }
  absl::Status BeginCapture() override;
  absl::StatusOr<std::unique_ptr<Graph>> EndCapture() override;
  void* native_handle() override { return handle_; }

  int device() const { return device_; }
  const DeviceProperties& properties() const { return properties_; }
  // kScratchBytes of device memory, for one matrix product at a time.
  void* scratch() const { return scratch_; }

 private:
  CudaStream(int device, const DeviceProperties& properties)
      : device_(device), properties_(properties) {}

  // Immutable after Create.
  const int device_;
  const DeviceProperties properties_;
  void* handle_ = nullptr;
  void* marker_ = nullptr;  // event for WaitFor
  void* scratch_ = nullptr;
};

}  // namespace longspan::kernels::cuda
