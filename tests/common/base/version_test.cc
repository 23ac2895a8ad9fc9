#include "common/base/version.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

TEST(VersionTest, LineNamesProgramVersionAndBuild) {
  EXPECT_THAT(Version(), ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_EQ(VersionLine("longspan"),
            std::string("longspan ") + Version() + " (" + BuildStamp() + ")");
}

}  // namespace
}  // namespace longspan
