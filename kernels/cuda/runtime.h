// Every call into CUDA's run-time library that is not a launch.
//
// Two implementations, chosen by linking: cuda_runtime.cc, the only file of the
// backend that includes CUDA's headers, and tests/support/cuda_emulator. Native
// objects travel as void*: a stream is a cudaStream_t, and so on. Errors are
// turned into a Status in cuda_status.h; a failure of an earlier kernel may be
// returned by any later call.
//
// "Current device" is a property of the calling thread (UseDevice). Functions
// are thread-safe; one stream is submitted to by one thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace longspan::kernels::cuda {

struct DeviceProperties {
  std::string name;  // "NVIDIA H200"
  std::string uuid;  // "GPU-8d2a...", for CUDA_VISIBLE_DEVICES
  int major = 0;     // compute capability
  int minor = 0;
  int multiprocessors = 0;
  int64_t memory_bytes = 0;
  int64_t block_shared_bytes = 0;  // most dynamic shared memory of a block
  int64_t cache_bytes = 0;         // level 2
};

// At least 1. kUnavailable, with the reason, where there is no driver, one
// that is too old, or no device.
absl::StatusOr<int> DeviceCount();
absl::StatusOr<DeviceProperties> GetDeviceProperties(int device);
// Makes `device` current for this thread; cheap when it is already.
absl::Status UseDevice(int device);

// Memory of the current device, aligned to 256 bytes, contents undefined.
// kResourceExhausted, with what is free and what the device has.
absl::StatusOr<void*> AllocateBytes(int64_t bytes);
absl::Status FreeBytes(void* data);

// Memory operations are enqueued on `stream` (null: done on return). Device to
// host: the bytes are there once the stream was synchronised.
absl::Status FillBytes(void* device, int value, int64_t bytes, void* stream);
absl::Status CopyBytesToDevice(const void* host, void* device, int64_t bytes,
                               void* stream);
absl::Status CopyBytesToHost(const void* device, void* host, int64_t bytes,
                             void* stream);
absl::Status CopyBytesOnDevice(const void* from, void* to, int64_t bytes,
                               void* stream);

// Streams of the current device; they do not wait for the default stream.
absl::StatusOr<void*> CreateNativeStream();
void DestroyNativeStream(void* stream);
absl::Status SynchronizeNativeStream(void* stream);

// An event marks a place in a stream. `timed` events measure.
absl::StatusOr<void*> CreateNativeEvent(bool timed);
void DestroyNativeEvent(void* event);
absl::Status RecordNativeEvent(void* event, void* stream);
absl::Status WaitForNativeEvent(void* stream, void* event);
// Whether the stream has reached the event. Does not block; any thread.
absl::StatusOr<bool> NativeEventPassed(void* event);
// From `start` to `end`, both timed and both reached (blocks for `end`).
absl::StatusOr<double> MillisecondsBetween(void* start, void* end);

// Between these two, what this thread submits to `stream` (and to streams that
// wait for it) is recorded instead of run. The result is an executable graph.
absl::Status BeginNativeCapture(void* stream);
absl::StatusOr<void*> EndNativeCapture(void* stream);
absl::Status LaunchNativeGraph(void* graph, void* stream);
void DestroyNativeGraph(void* graph);

}  // namespace longspan::kernels::cuda
