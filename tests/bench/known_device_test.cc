#include "bench/kernels/known_device.h"

#include <gtest/gtest.h>

namespace longspan::bench {
namespace {

TEST(KnownDevice, ByTheDriversNameTheBackendsAndAShortOne) {
  for (const char* name : {"H100", "NVIDIA H100 80GB HBM3",
                           "NVIDIA H100 80GB HBM3 (compute capability 9.0)"}) {
    const auto device = KnownDevice(name);
    ASSERT_TRUE(device.has_value()) << name;
    EXPECT_EQ(device->bytes_per_second, 3.0e12);
  }
  EXPECT_EQ(KnownDevice("NVIDIA H200")->bytes_per_second, 4.3e12);
}

TEST(KnownDevice, OthersAreNot) {
  for (const char* name :
       {"", "NVIDIA A100-SXM4-80GB (compute capability 8.0)",
        "NVIDIA H100 PCIe", "NVIDIA H200 MIG 1g.18gb", "AVX-512"}) {
    EXPECT_FALSE(KnownDevice(name).has_value()) << name;
  }
}

TEST(DeviceFlags, RatesGoBeforeWhatIsKnown) {
  DeviceFlags flags;
  EXPECT_EQ(flags.name(), "NVIDIA H200");
  EXPECT_FALSE(flags.Resolve("NVIDIA A100").has_value());
  EXPECT_TRUE(flags.Set("--bandwidth", "1.5e12"));
  EXPECT_FALSE(flags.Resolve("NVIDIA A100").has_value());
  EXPECT_EQ(flags.Resolve("NVIDIA H200")->bytes_per_second, 1.5e12);
  EXPECT_TRUE(flags.Set("--matrix-rate", "2.5e14"));
  EXPECT_EQ(flags.Resolve("NVIDIA A100")->operations_per_second, 2.5e14);
  EXPECT_EQ(flags.Resolve("NVIDIA A100")->peak_operations_per_second, 0.0);
}

TEST(DeviceFlags, OnlyItsOwnAndPositive) {
  DeviceFlags flags;
  EXPECT_FALSE(flags.Set("--seconds", "1"));
  EXPECT_FALSE(flags.Set("--bandwidth", "fast"));
  EXPECT_TRUE(flags.Set("--device", "H100"));
  EXPECT_EQ(flags.name(), "H100");
}

}  // namespace
}  // namespace longspan::bench
