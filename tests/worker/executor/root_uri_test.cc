#include "worker/executor/root_uri.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace longspan::worker {
namespace {

using testing::HasSubstr;

class RootUriTest : public testing::Test {
 protected:
  RootUriTest() {
    root_ = testing::TempDir() + "/root_uri_" + std::to_string(::getpid());
    std::filesystem::create_directories(root_ + "/books");
    std::filesystem::create_symlink("/etc", root_ + "/out");
    roots_ = {{"corpus", root_}, {"outputs", root_ + "/books"}};
  }
  ~RootUriTest() override { std::filesystem::remove_all(root_); }

  std::string root_;
  Roots roots_;
};

TEST_F(RootUriTest, ResolvesBeneathTheNamedRoot) {
  EXPECT_EQ(ResolveRootUri(roots_, "corpus://books/moby.txt").value(),
            root_ + "/books/moby.txt");
  EXPECT_EQ(ResolveRootUri(roots_, "outputs://job/checkpoints").value(),
            root_ + "/books/job/checkpoints");
}

TEST_F(RootUriTest, NamesTheRootsOfThisNode) {
  const absl::Status status = ResolveRootUri(roots_, "models://m").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("corpus, outputs"));
}

TEST_F(RootUriTest, RefusesEveryWayOut) {
  for (const char* uri :
       {"corpus://../x", "corpus://a/../../x", "corpus:///etc/passwd",
        "corpus://%2e%2e/x", "corpus://out/passwd", "corpus://a\\..\\x",
        "/etc/passwd", "://x", "", "file:///etc/passwd"}) {
    EXPECT_FALSE(ResolveRootUri(roots_, uri).ok()) << uri;
  }
}

}  // namespace
}  // namespace longspan::worker
