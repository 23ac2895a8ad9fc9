#pragma once

#include <cstdint>
#include <functional>
#include <typeinfo>

#include "kernels/cuda/device/emulated/source_site.h"

// How an emulated launch reaches the emulator.

namespace longspan::kernels::cuda::emulated {

struct KernelLaunch {
  int64_t blocks = 0;
  int threads = 0;
  int shared_bytes = 0;
  std::function<void()> thread_body;  // owns a copy of the parameters
  const std::type_info* params = nullptr;
  const char* launched_by = "";  // the host function
  SourceSite site = {};
};

// Runs the launch, or hands it to the stream; 0 or a CUDA error code. Defined
// by tests/support/cuda_emulator.
int SubmitLaunch(void* native_stream, KernelLaunch launch);

}  // namespace longspan::kernels::cuda::emulated
