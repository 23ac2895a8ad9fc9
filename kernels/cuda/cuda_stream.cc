#include "kernels/cuda/cuda_stream.h"

#include <memory>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::kernels::cuda {
namespace {

class CudaGraph : public Graph {
 public:
  explicit CudaGraph(void* handle) : handle_(handle) {}
  ~CudaGraph() override { DestroyNativeGraph(handle_); }

  absl::Status Launch(Stream& stream) override {
    return LaunchNativeGraph(handle_, CudaStream::Of(stream).native_handle());
  }

 private:
  void* const handle_;
};

class CudaEvent : public Event {
 public:
  CudaEvent(int device, void* handle) : device_(device), handle_(handle) {}
  ~CudaEvent() override { DestroyNativeEvent(handle_); }

  absl::StatusOr<bool> Passed() const override {
    RETURN_IF_ERROR(UseDevice(device_));
    return NativeEventPassed(handle_);
  }
  void* handle() const { return handle_; }

 private:
  const int device_;
  void* const handle_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CudaStream>> CudaStream::Create(
    int device, const DeviceProperties& properties) {
  RETURN_IF_ERROR(UseDevice(device));
  std::unique_ptr<CudaStream> stream(new CudaStream(device, properties));
  ASSIGN_OR_RETURN(stream->handle_, CreateNativeStream());
  ASSIGN_OR_RETURN(stream->marker_, CreateNativeEvent(/*timed=*/false));
  ASSIGN_OR_RETURN(stream->scratch_, AllocateBytes(kScratchBytes));
  return stream;
}

CudaStream::~CudaStream() {
  if (!UseDevice(device_).ok()) return;
  if (handle_ != nullptr) {
    SynchronizeNativeStream(handle_).IgnoreError();
    DestroyNativeStream(handle_);
  }
  if (marker_ != nullptr) DestroyNativeEvent(marker_);
  if (scratch_ != nullptr) FreeBytes(scratch_).IgnoreError();
}

CudaStream& CudaStream::Of(Stream& stream) {
  auto* cuda_stream = dynamic_cast<CudaStream*>(&stream);
  LONGSPAN_CHECK(cuda_stream != nullptr) << "a stream of another backend";
  LONGSPAN_CHECK_OK(UseDevice(cuda_stream->device_));
  return *cuda_stream;
}

absl::Status CudaStream::Synchronize() {
  RETURN_IF_ERROR(UseDevice(device_));
  return SynchronizeNativeStream(handle_);
}

// The wait is for the event as it was recorded last, so one event will do.
absl::Status CudaStream::WaitFor(Stream& other) {
  if (&other == this || other.native_handle() == nullptr) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(UseDevice(device_));
  RETURN_IF_ERROR(RecordNativeEvent(marker_, other.native_handle()));
  return WaitForNativeEvent(handle_, marker_);
}

absl::StatusOr<std::unique_ptr<Event>> CudaStream::Record() {
  RETURN_IF_ERROR(UseDevice(device_));
  ASSIGN_OR_RETURN(void* const handle, CreateNativeEvent(/*timed=*/false));
  auto event = std::make_unique<CudaEvent>(device_, handle);
  RETURN_IF_ERROR(RecordNativeEvent(handle, handle_));
  return std::unique_ptr<Event>(std::move(event));
}

absl::Status CudaStream::WaitFor(const Event& event) {
  const auto* const cuda_event = dynamic_cast<const CudaEvent*>(&event);
  LONGSPAN_CHECK(cuda_event != nullptr) << "an event of another backend";
  RETURN_IF_ERROR(UseDevice(device_));
  return WaitForNativeEvent(handle_, cuda_event->handle());
}

absl::Status CudaStream::BeginCapture() {
  RETURN_IF_ERROR(UseDevice(device_));
  return BeginNativeCapture(handle_);
}

absl::StatusOr<std::unique_ptr<Graph>> CudaStream::EndCapture() {
  RETURN_IF_ERROR(UseDevice(device_));
  ASSIGN_OR_RETURN(void* const graph, EndNativeCapture(handle_));
  return std::unique_ptr<Graph>(std::make_unique<CudaGraph>(graph));
}

}  // namespace longspan::kernels::cuda
