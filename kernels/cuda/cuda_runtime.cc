#include <cuda_runtime_api.h>

#include <string>

#include "common/base/status_macros.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/device_uuid.h"
#include "kernels/cuda/runtime.h"

namespace longspan::kernels::cuda {
namespace {

// `call` says what was asked for, with sizes.
absl::Status Check(cudaError_t error, const std::string& call) {
  if (error == cudaSuccess) return absl::OkStatus();
  cudaGetLastError();  // or the next launch would report it again
  return StatusOfError(error, call, cudaGetErrorString(error));
}

cudaStream_t StreamOf(void* stream) {
  return static_cast<cudaStream_t>(stream);
}
cudaEvent_t EventOf(void* event) { return static_cast<cudaEvent_t>(event); }

absl::Status Copy(void* to, const void* from, int64_t bytes,
                  cudaMemcpyKind kind, void* stream, const char* direction) {
  const size_t size = static_cast<size_t>(bytes);
  return Check(stream == nullptr
                   ? cudaMemcpy(to, from, size, kind)
                   : cudaMemcpyAsync(to, from, size, kind, StreamOf(stream)),
               "a copy of " + std::to_string(bytes) + " B " + direction);
}

absl::StatusOr<int64_t> Attribute(cudaDeviceAttr attribute, int device) {
  int value = 0;
  RETURN_IF_ERROR(Check(cudaDeviceGetAttribute(&value, attribute, device),
                        "reading attribute " + std::to_string(attribute) +
                            " of device " + std::to_string(device)));
  return value;
}

}  // namespace

absl::StatusOr<int> DeviceCount() {
  int count = 0;
  RETURN_IF_ERROR(Check(cudaGetDeviceCount(&count), "counting devices"));
  if (count == 0) return StatusOfError(kErrorNoDevice, "counting devices");
  return count;
}

absl::StatusOr<DeviceProperties> GetDeviceProperties(int device) {
  cudaDeviceProp found;
  RETURN_IF_ERROR(Check(cudaGetDeviceProperties(&found, device),
                        "reading device " + std::to_string(device)));
  DeviceProperties properties;
  properties.name = found.name;
  properties.uuid = DeviceUuid(found.name, found.uuid.bytes);
  properties.major = found.major;
  properties.minor = found.minor;
  properties.multiprocessors = found.multiProcessorCount;
  properties.memory_bytes = static_cast<int64_t>(found.totalGlobalMem);
  properties.cache_bytes = found.l2CacheSize;
  ASSIGN_OR_RETURN(properties.block_shared_bytes,
                   Attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return properties;
}

absl::Status UseDevice(int device) {
  thread_local int current = -1;
  if (current == device) return absl::OkStatus();
  RETURN_IF_ERROR(Check(cudaSetDevice(device),
                        "choosing device " + std::to_string(device)));
  current = device;
  return absl::OkStatus();
}

absl::StatusOr<void*> AllocateBytes(int64_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, static_cast<size_t>(bytes));
  if (error == cudaSuccess) return data;
  size_t free = 0;
  size_t total = 0;
  cudaMemGetInfo(&free, &total);
  return Check(error, "an allocation of " + std::to_string(bytes) + " B (" +
                          std::to_string(free) + " B of " +
                          std::to_string(total) + " B are free)");
}

absl::Status FreeBytes(void* data) {
  return Check(cudaFree(data), "freeing memory");
}

absl::Status FillBytes(void* device, int value, int64_t bytes, void* stream) {
  const size_t size = static_cast<size_t>(bytes);
  if (stream != nullptr) {
    return Check(cudaMemsetAsync(device, value, size, StreamOf(stream)),
                 "filling " + std::to_string(bytes) + " B");
  }
  RETURN_IF_ERROR(Check(cudaMemset(device, value, size),
                        "filling " + std::to_string(bytes) + " B"));
  return Check(cudaStreamSynchronize(nullptr), "waiting for a fill");
}

absl::Status CopyBytesToDevice(const void* host, void* device, int64_t bytes,
                               void* stream) {
  return Copy(device, host, bytes, cudaMemcpyHostToDevice, stream,
              "to the device");
}

absl::Status CopyBytesToHost(const void* device, void* host, int64_t bytes,
                             void* stream) {
  return Copy(host, device, bytes, cudaMemcpyDeviceToHost, stream,
              "to the host");
}

absl::Status CopyBytesOnDevice(const void* from, void* to, int64_t bytes,
                               void* stream) {
  return Copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream,
              "on the device");
}

absl::StatusOr<void*> CreateNativeStream() {
  cudaStream_t stream = nullptr;
  RETURN_IF_ERROR(
      Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
            "creating a stream"));
  return stream;
}

void DestroyNativeStream(void* stream) { cudaStreamDestroy(StreamOf(stream)); }

absl::Status SynchronizeNativeStream(void* stream) {
  return Check(cudaStreamSynchronize(StreamOf(stream)), "waiting for a stream");
}

absl::StatusOr<void*> CreateNativeEvent(bool timed) {
  cudaEvent_t event = nullptr;
  RETURN_IF_ERROR(
      Check(cudaEventCreateWithFlags(
                &event, timed ? cudaEventDefault : cudaEventDisableTiming),
            "creating an event"));
  return event;
}

void DestroyNativeEvent(void* event) { cudaEventDestroy(EventOf(event)); }

absl::Status RecordNativeEvent(void* event, void* stream) {
  return Check(cudaEventRecord(EventOf(event), StreamOf(stream)),
               "recording an event");
}

absl::Status WaitForNativeEvent(void* stream, void* event) {
  return Check(cudaStreamWaitEvent(StreamOf(stream), EventOf(event), 0),
               "waiting for an event");
}

absl::StatusOr<bool> NativeEventPassed(void* event) {
  const cudaError_t state = cudaEventQuery(EventOf(event));
  if (state == cudaErrorNotReady) return false;
  RETURN_IF_ERROR(Check(state, "asking for an event"));
  return true;
}

absl::StatusOr<double> MillisecondsBetween(void* start, void* end) {
  RETURN_IF_ERROR(
      Check(cudaEventSynchronize(EventOf(end)), "waiting for an event"));
  float milliseconds = 0.0f;
  RETURN_IF_ERROR(
      Check(cudaEventElapsedTime(&milliseconds, EventOf(start), EventOf(end)),
            "measuring between events"));
  return milliseconds;
}

absl::Status BeginNativeCapture(void* stream) {
  return Check(cudaStreamBeginCapture(StreamOf(stream),
                                      cudaStreamCaptureModeThreadLocal),
               "beginning a capture");
}

absl::StatusOr<void*> EndNativeCapture(void* stream) {
  cudaGraph_t graph = nullptr;
  RETURN_IF_ERROR(Check(cudaStreamEndCapture(StreamOf(stream), &graph),
                        "ending a capture"));
  cudaGraphExec_t executable = nullptr;
  const absl::Status status = Check(cudaGraphInstantiate(&executable, graph, 0),
                                    "instantiating a graph");
  cudaGraphDestroy(graph);
  RETURN_IF_ERROR(status);
  return executable;
}

absl::Status LaunchNativeGraph(void* graph, void* stream) {
  return Check(
      cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), StreamOf(stream)),
      "launching a graph");
}

void DestroyNativeGraph(void* graph) {
  cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
}

}  // namespace longspan::kernels::cuda
