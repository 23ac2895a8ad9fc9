#include "worker/executor/memory_probe.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

namespace longspan::worker {
namespace {

TEST(MemoryProbeTest, SeesPagesThatCameAndWent) {
  constexpr size_t kBytes = size_t{32} << 20;
  const MemoryProbe probe;
  void* pages = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  std::memset(pages, 1, kBytes);
  const int64_t used = probe.used();
  ::munmap(pages, kBytes);
  // A tenth for what the test program itself allocates meanwhile.
  EXPECT_NEAR(used, kBytes, kBytes * 0.1);
  EXPECT_NEAR(probe.peak(), kBytes, kBytes * 0.1);
  EXPECT_LT(probe.used(), static_cast<int64_t>(kBytes / 2));
}

}  // namespace
}  // namespace longspan::worker
