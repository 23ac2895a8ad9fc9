#include "kernels/cpu/cpu_stream.h"

#include "common/base/check.h"

namespace longspan::kernels {

ThreadPool& CpuStream::PoolOf(Stream& stream) {
  auto* cpu_stream = dynamic_cast<CpuStream*>(&stream);
  LONGSPAN_CHECK(cpu_stream != nullptr)
      << "a CPU op was given another backend's stream";
  return cpu_stream->pool();
}

}  // namespace longspan::kernels
