#include "tests/support/gpu_case/gpu_case.h"

#include <errno.h>

#include <cstdlib>
#include <string_view>

#include "common/base/check.h"

namespace longspan {

bool OnGpu() {
  const std::string_view name = program_invocation_short_name;
  constexpr std::string_view kSuffix = "_gpu";
  return name.size() > kSuffix.size() &&
         name.substr(name.size() - kSuffix.size()) == kSuffix;
}

ShapeSize Shapes() {
  const char* value = std::getenv("LONGSPAN_GPU_SHAPES");
  if (value == nullptr) return OnGpu() ? ShapeSize::kLarge : ShapeSize::kSmall;
  const std::string_view size = value;
  LONGSPAN_CHECK(size == "small" || size == "large")
      << "LONGSPAN_GPU_SHAPES=" << value << "; one of small, large";
  return size == "large" ? ShapeSize::kLarge : ShapeSize::kSmall;
}

uint64_t TestSeed() {
  const char* value = std::getenv("LONGSPAN_TEST_SEED");
  if (value == nullptr) return 1;
  char* end = nullptr;
  const uint64_t seed = std::strtoull(value, &end, 10);
  LONGSPAN_CHECK(end != value && *end == '\0')
      << "LONGSPAN_TEST_SEED=" << value << "; a number";
  return seed;
}

}  // namespace longspan
