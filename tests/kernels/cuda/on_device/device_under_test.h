// The CUDA backend as any program sees it: through Backend, DeviceMemory and
// Stream. On the emulator no host code can touch its memory; on a GPU it is
// the real one.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "common/base/check.h"
#include "gtest/gtest.h"
#include "kernels/select/backend_registry.h"
#include "tests/support/attention/host_tensor.h"
#include "tests/support/device_mirror/device_mirror.h"
#include "tests/support/gpu_case/gpu_case.h"

namespace longspan::kernels {

class DeviceUnderTest {
 public:
  DeviceUnderTest() {
    auto backend = CreateBackend(BackendKind::kCuda);
    LONGSPAN_CHECK_OK(backend.status());
    backend_ = *std::move(backend);
    LONGSPAN_CHECK(!backend_->memory().host_accessible());
    auto stream = backend_->CreateStream(1);
    LONGSPAN_CHECK_OK(stream.status());
    stream_ = *std::move(stream);
  }

  Backend& backend() { return *backend_; }
  Stream& stream() { return *stream_; }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
};

// Of the reference, which computes on the host before the call returns.
class HostStream : public Stream {
 public:
  absl::Status Synchronize() override { return absl::OkStatus(); }
};

inline bool LargeShapes() { return Shapes() == ShapeSize::kLarge; }

// The bar of the conformance list: f32 operands are held as two bf16 planes,
// 2^-16; bf16 results are rounded to 2^-9 a few times.
inline double RelativeTolerance(DType dtype) {
  return dtype == DType::kBF16 ? 5e-3 : 1e-3;
}

inline void ExpectClose(const std::vector<double>& actual,
                        const std::vector<double>& expected, double tolerance,
                        const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  if (Rms(expected) == 0.0) {
    // Terms of size 0.4 that cancel, each with an error of 2^-16.
    EXPECT_LE(Rms(actual), 0.4 * 0x1p-16) << what;
    return;
  }
  EXPECT_LE(RelativeRms(actual, expected), tolerance) << what;
}

// Logarithms of sums: absolute, and minus infinity where the sum is empty.
inline void ExpectLogsClose(const std::vector<double>& actual,
                            const std::vector<double>& expected,
                            double tolerance, const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::isinf(expected[i])) {
      ASSERT_EQ(actual[i], expected[i]) << what << " " << i;
    } else {
      ASSERT_NEAR(actual[i], expected[i],
                  tolerance * std::max(1.0, std::fabs(expected[i])))
          << what << " " << i;
    }
  }
}

}  // namespace longspan::kernels
