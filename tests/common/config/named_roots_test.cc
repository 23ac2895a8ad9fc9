#include "common/config/named_roots.h"

#include <fcntl.h>

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(NamedRootsTest, ParsesAssignments) {
  const auto roots = NamedRoots::Parse({"models=/m", "data=/srv/data"});
  ASSERT_TRUE(roots.ok());
  EXPECT_THAT(roots->names(), ElementsAre("data", "models"));
  EXPECT_EQ(roots->RootOf("file://data/a.txt")->path, "/srv/data");
}

TEST(NamedRootsTest, RefusesBadAssignments) {
  for (const char* bad :
       {"data", "data=relative", "=/x", "Data=/x", "a/b=/x", "data="}) {
    EXPECT_FALSE(NamedRoots::Parse({bad}).ok()) << bad;
  }
  EXPECT_FALSE(NamedRoots::Parse({"data=/a", "data=/b"}).ok());
}

TEST(NamedRootsTest, UnknownRootsSuggestTheNearest) {
  const auto roots = NamedRoots::Parse({"data=/d", "models=/m"});
  const absl::Status status = roots->RootOf("file://modles/x").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("did you mean 'models'?"));
  EXPECT_FALSE(roots->RootOf("books.txt").ok());
  EXPECT_FALSE(roots->RootOf("file:///etc/passwd").ok());
}

TEST(NamedRootsTest, OpensAndResolvesBeneathTheRoot) {
  const std::filesystem::path directory =
      std::filesystem::path(::testing::TempDir()) / "named_roots_test";
  std::filesystem::create_directories(directory);
  NamedRoots roots;
  ASSERT_TRUE(roots.Add("data", directory.string()).ok());
  EXPECT_TRUE(roots.Open("file://data/new.txt", O_WRONLY | O_CREAT).ok());
  EXPECT_EQ(*roots.Resolve("file://data/new.txt"),
            (directory / "new.txt").string());
  EXPECT_FALSE(roots.Open("file://data/../new.txt", O_RDONLY).ok());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace longspan
