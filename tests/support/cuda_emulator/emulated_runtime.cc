#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/runtime.h"
#include "tests/support/cuda_emulator/emulated_memory.h"
#include "tests/support/cuda_emulator/emulated_work.h"
#include "tests/support/cuda_emulator/emulator.h"

// kernels/cuda/runtime.h on the emulator. A stream runs what it is given at
// once, unless it is being captured: then the closure is kept, with the host
// values that it saw, and every launch of the graph runs it again.

namespace longspan::kernels::cuda {
namespace {

using Work = std::function<int()>;
using Clock = std::chrono::steady_clock;

// The machine's; a process sees those of CUDA_VISIBLE_DEVICES.
constexpr int kDevices = 8;
constexpr char kUuidPrefix[] = "GPU-emulated-";

struct EmulatedStream;

// What a capture has recorded, and the streams that joined it and have not
// been waited for since their last work.
struct Recording {
  EmulatedStream* origin = nullptr;
  std::vector<Work> work;
  std::set<EmulatedStream*> unjoined;
  bool invalid = false;
};

struct EmulatedStream {
  std::shared_ptr<Recording> recording;
};

struct EmulatedEvent {
  std::shared_ptr<Recording> recording;
  EmulatedStream* stream = nullptr;
  size_t position = 0;  // in the recording
  Clock::time_point time;
};

struct EmulatedGraph {
  std::vector<Work> work;
};

// Captures that this thread has begun and not ended.
thread_local int captures = 0;

// By ordinal. As CUDA has it: a list of UUIDs or numbers, which ends before
// the first word that names no device.
std::vector<int> VisibleDevices() {
  std::vector<int> visible;
  const char* const listed = std::getenv("CUDA_VISIBLE_DEVICES");
  if (listed == nullptr) {
    for (int device = 0; device < kDevices; ++device) visible.push_back(device);
    return visible;
  }
  std::istringstream words(listed);
  for (std::string word; std::getline(words, word, ',');) {
    if (word.rfind(kUuidPrefix, 0) == 0) word.erase(0, sizeof(kUuidPrefix) - 1);
    if (word.size() != 1 || word[0] < '0' || word[0] >= '0' + kDevices) break;
    visible.push_back(word[0] - '0');
  }
  return visible;
}

// "9.0", or what LONGSPAN_EMULATED_CAPABILITIES, a list by the machine's
// numbers, says of the device.
std::string CapabilityOf(int number) {
  const char* const listed = std::getenv("LONGSPAN_EMULATED_CAPABILITIES");
  std::istringstream words(listed == nullptr ? "" : listed);
  std::string word;
  for (int i = 0; i <= number; ++i) {
    if (!std::getline(words, word, ',')) return "9.0";
  }
  return word;
}

EmulatedStream* StreamOf(void* stream) {
  return static_cast<EmulatedStream*>(stream);
}

// The recording that `stream` belongs to; null when it runs what it is given.
Recording* RecordingOf(void* stream) {
  return stream == nullptr ? nullptr : StreamOf(stream)->recording.get();
}

int Submit(void* stream, Work work) {
  Recording* const recording = RecordingOf(stream);
  if (recording == nullptr) return work();
  recording->work.push_back(std::move(work));
  if (StreamOf(stream) != recording->origin) {
    recording->unjoined.insert(StreamOf(stream));
  }
  return kSuccess;
}

class RuntimeHooks : public emulated::LaunchHooks {
 public:
  int Submit(void* native_stream, std::function<int()> run) override {
    return cuda::Submit(native_stream, std::move(run));
  }
  void BeginLaunch() override { emulated::DeviceHeap::Get().Open(); }
  void EndLaunch() override { emulated::DeviceHeap::Get().Close(); }
};

void InstallHooks() {
  static RuntimeHooks* const hooks = [] {
    auto* made = new RuntimeHooks();
    emulated::SetLaunchHooks(made);
    return made;
  }();
  static_cast<void>(hooks);
}

// What a device refuses while a capture is under way; that ends the capture.
absl::Status RefuseInCapture(void* stream, const std::string& call) {
  Recording* const recording = RecordingOf(stream);
  if (recording == nullptr) return absl::OkStatus();
  recording->invalid = true;
  return StatusOfError(kErrorStreamCaptureUnsupported, call,
                       "operation not permitted when stream is capturing");
}

// One side of a copy with the host is outside the heap.
absl::Status CopyWithHost(const void* from, void* to, int64_t bytes,
                          void* stream, const std::string& direction) {
  const std::string call =
      "a copy of " + std::to_string(bytes) + " B " + direction;
  RETURN_IF_ERROR(RefuseInCapture(stream, call));
  emulated::DeviceAccess access;
  std::memcpy(to, from, static_cast<size_t>(bytes));
  return absl::OkStatus();
}

}  // namespace

int emulated::SubmitWork(void* native_stream, std::function<int()> work) {
  return Submit(native_stream, std::move(work));
}

absl::StatusOr<int> DeviceCount() {
  InstallHooks();
  const int count = static_cast<int>(VisibleDevices().size());
  if (count == 0) return StatusOfError(kErrorNoDevice, "counting devices");
  return count;
}

absl::StatusOr<DeviceProperties> GetDeviceProperties(int device) {
  RETURN_IF_ERROR(UseDevice(device));
  const std::string number = std::to_string(VisibleDevices()[device]);
  const std::string capability = CapabilityOf(VisibleDevices()[device]);
  DeviceProperties properties;
  properties.name = "emulated device " + number;
  properties.uuid = kUuidPrefix + number;
  properties.major = std::atoi(capability.c_str());
  properties.minor = std::atoi(capability.c_str() + capability.find('.') + 1);
  properties.multiprocessors = 4;
  properties.memory_bytes = emulated::DeviceHeap::kBytes;
  properties.block_shared_bytes = 227 * 1024;
  properties.cache_bytes = int64_t{50} << 20;
  return properties;
}

absl::Status UseDevice(int device) {
  const int count = static_cast<int>(VisibleDevices().size());
  if (device >= 0 && device < count) return absl::OkStatus();
  return StatusOfError(kErrorInvalidDevice,
                       "choosing device " + std::to_string(device));
}

absl::StatusOr<void*> AllocateBytes(int64_t bytes) {
  const std::string call = "an allocation of " + std::to_string(bytes) + " B";
  if (captures > 0) {
    return StatusOfError(kErrorStreamCaptureUnsupported, call);
  }
  void* const data = emulated::DeviceHeap::Get().Allocate(bytes);
  if (data != nullptr) return data;
  return StatusOfError(
      kErrorMemoryAllocation,
      call + " (" + std::to_string(emulated::DeviceHeap::Get().used_bytes()) +
          " B of " + std::to_string(emulated::DeviceHeap::kBytes) +
          " B are used)");
}

absl::Status FreeBytes(void* data) {
  if (emulated::DeviceHeap::Get().Free(data)) return absl::OkStatus();
  return StatusOfError(kErrorInvalidValue, "freeing memory");
}

absl::Status FillBytes(void* device, int value, int64_t bytes, void* stream) {
  return StatusOfError(Submit(stream,
                              [=] {
                                emulated::DeviceAccess access;
                                std::memset(device, value,
                                            static_cast<size_t>(bytes));
                                return static_cast<int>(kSuccess);
                              }),
                       "a fill");
}

absl::Status CopyBytesToDevice(const void* host, void* device, int64_t bytes,
                               void* stream) {
  return CopyWithHost(host, device, bytes, stream, "to the device");
}

absl::Status CopyBytesToHost(const void* device, void* host, int64_t bytes,
                             void* stream) {
  return CopyWithHost(device, host, bytes, stream, "to the host");
}

absl::Status CopyBytesOnDevice(const void* from, void* to, int64_t bytes,
                               void* stream) {
  return StatusOfError(Submit(stream,
                              [=] {
                                emulated::DeviceAccess access;
                                std::memmove(to, from,
                                             static_cast<size_t>(bytes));
                                return static_cast<int>(kSuccess);
                              }),
                       "a copy on the device");
}

absl::StatusOr<void*> CreateNativeStream() {
  InstallHooks();
  return static_cast<void*>(new EmulatedStream());
}

void DestroyNativeStream(void* stream) { delete StreamOf(stream); }

absl::Status SynchronizeNativeStream(void* stream) {
  return RefuseInCapture(stream, "waiting for a stream");
}

absl::StatusOr<void*> CreateNativeEvent(bool) {
  return static_cast<void*>(new EmulatedEvent());
}

void DestroyNativeEvent(void* event) {
  delete static_cast<EmulatedEvent*>(event);
}

absl::Status RecordNativeEvent(void* event, void* stream) {
  auto* const marker = static_cast<EmulatedEvent*>(event);
  marker->stream = StreamOf(stream);
  marker->recording = StreamOf(stream)->recording;
  marker->position =
      marker->recording == nullptr ? 0 : marker->recording->work.size();
  marker->time = Clock::now();
  return absl::OkStatus();
}

// Work has finished when its call returns.
absl::StatusOr<bool> NativeEventPassed(void*) { return true; }

// Waiting for an event of a capture joins the capture; when its origin waits
// for a stream that joined, that stream's work is accounted for.
absl::Status WaitForNativeEvent(void* stream, void* event) {
  auto* const marker = static_cast<EmulatedEvent*>(event);
  EmulatedStream* const waiting = StreamOf(stream);
  if (marker->recording == nullptr) return absl::OkStatus();
  if (waiting->recording == nullptr) {
    waiting->recording = marker->recording;
    marker->recording->unjoined.insert(waiting);
  } else if (waiting->recording != marker->recording) {
    return StatusOfError(kErrorCapturedEvent, "waiting for an event",
                         "it belongs to another capture");
  } else if (waiting == marker->recording->origin &&
             marker->stream != waiting) {
    marker->recording->unjoined.erase(marker->stream);
    marker->stream->recording = nullptr;
  }
  return absl::OkStatus();
}

absl::StatusOr<double> MillisecondsBetween(void* start, void* end) {
  return std::chrono::duration<double, std::milli>(
             static_cast<EmulatedEvent*>(end)->time -
             static_cast<EmulatedEvent*>(start)->time)
      .count();
}

absl::Status BeginNativeCapture(void* stream) {
  RETURN_IF_ERROR(RefuseInCapture(stream, "beginning a capture"));
  auto recording = std::make_shared<Recording>();
  recording->origin = StreamOf(stream);
  StreamOf(stream)->recording = std::move(recording);
  ++captures;
  return absl::OkStatus();
}

absl::StatusOr<void*> EndNativeCapture(void* stream) {
  const std::shared_ptr<Recording> recording =
      std::exchange(StreamOf(stream)->recording, nullptr);
  if (recording == nullptr || recording->origin != StreamOf(stream)) {
    return StatusOfError(kErrorInvalidValue, "ending a capture");
  }
  --captures;
  for (EmulatedStream* joined : recording->unjoined) {
    joined->recording = nullptr;
  }
  if (recording->invalid) {
    return StatusOfError(kErrorStreamCaptureInvalidated, "ending a capture");
  }
  if (!recording->unjoined.empty()) {
    return StatusOfError(kErrorStreamCaptureUnjoined, "ending a capture",
                         "a stream that joined was not waited for");
  }
  return static_cast<void*>(new EmulatedGraph{std::move(recording->work)});
}

absl::Status LaunchNativeGraph(void* graph, void* stream) {
  RETURN_IF_ERROR(RefuseInCapture(stream, "launching a graph"));
  for (const Work& work : static_cast<EmulatedGraph*>(graph)->work) {
    RETURN_IF_ERROR(StatusOfError(work(), "launching a graph"));
  }
  return absl::OkStatus();
}

void DestroyNativeGraph(void* graph) {
  delete static_cast<EmulatedGraph*>(graph);
}

}  // namespace longspan::kernels::cuda

// The hook of the fake NCCL (tests/support/fake_nccl/README.md). Programs that
// open it export their symbols.
extern "C" void longspan_emulated_enqueue(void* stream, void (*run)(void*),
                                          void* context) {
  namespace emulated = longspan::kernels::cuda::emulated;
  emulated::SubmitWork(stream, [run, context] {
    const emulated::DeviceAccess access;
    run(context);
    return 0;
  });
}
