#include "common/base/units.h"

#include "gtest/gtest.h"

namespace longspan {
namespace {

TEST(UnitsTest, FormatBytes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KiB");
  EXPECT_EQ(FormatBytes(1610612736), "1.5 GiB");
  EXPECT_EQ(FormatBytes(1048575), "1.0 MiB");
  EXPECT_EQ(FormatBytes(-2048), "-2.0 KiB");
}

TEST(UnitsTest, FormatCount) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1234567), "1.23M");
  EXPECT_EQ(FormatCount(45600), "45.6k");
  EXPECT_EQ(FormatCount(999999), "1.00M");
  EXPECT_EQ(FormatCount(0.5), "0.50");
}

TEST(UnitsTest, FormatElapsed) {
  EXPECT_EQ(FormatElapsed(absl::Microseconds(850)), "850 us");
  EXPECT_EQ(FormatElapsed(absl::Microseconds(12345)), "12.3 ms");
  EXPECT_EQ(FormatElapsed(absl::Milliseconds(4561)), "4.56 s");
  EXPECT_EQ(FormatElapsed(absl::Seconds(125)), "2m05s");
  EXPECT_EQ(FormatElapsed(absl::Minutes(182)), "3h02m");
  EXPECT_EQ(FormatElapsed(absl::Hours(99)), "4d03h");
  EXPECT_EQ(FormatElapsed(-absl::Seconds(1)), "-1.00 s");
}

TEST(UnitsTest, ParseDuration) {
  EXPECT_EQ(*ParseDuration("30s"), absl::Seconds(30));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
  for (const char* bad : {"", "30", "-1s", "inf", "1 fortnight"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

TEST(UnitsTest, ParseBytes) {
  EXPECT_EQ(*ParseBytes("512"), 512);
  EXPECT_EQ(*ParseBytes("4MiB"), 4 << 20);
  EXPECT_EQ(*ParseBytes("1.5 GiB"), 1610612736);
  EXPECT_EQ(*ParseBytes("100MB"), 100000000);
  for (const char* bad :
       {"", "MiB", "4 mib", "-1", "1e99GiB", "1.2.3", "99999999TiB"}) {
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace longspan
