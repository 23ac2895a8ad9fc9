#include "common/base/safe_path.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

// root/            the configured root
//   books/a.txt
//   inside  -> books              (stays beneath)
//   escape  -> ../secret          (leads out)
//   absolute -> <directory>/secret
//   dangling -> ../nowhere
// secret/token.txt                (must never be reached)
class SafePathTest : public ::testing::Test {
 protected:
  SafePathTest()
      : directory_(fs::path(::testing::TempDir()) /
                   ("safe_path_test." + std::to_string(getpid()))),
        root_{"data", (directory_ / "root").string()} {
    fs::create_directories(directory_ / "root" / "books");
    fs::create_directories(directory_ / "secret");
    std::ofstream(directory_ / "root" / "books" / "a.txt") << "text";
    std::ofstream(directory_ / "secret" / "token.txt") << "secret";
    fs::create_symlink("books", directory_ / "root" / "inside");
    fs::create_symlink("../secret", directory_ / "root" / "escape");
    fs::create_symlink(directory_ / "secret", directory_ / "root" / "absolute");
    fs::create_symlink("../nowhere", directory_ / "root" / "dangling");
  }
  ~SafePathTest() override { fs::remove_all(directory_); }

  absl::Status OpenStatus(const std::string& uri, int flags = O_RDONLY) {
    return OpenBeneath(root_, uri, flags).status();
  }

  const fs::path directory_;
  const NamedRoot root_;
};

TEST_F(SafePathTest, AcceptsTheThreeForms) {
  const std::string expected = root_.path + "/books/a.txt";
  for (const std::string& uri :
       {std::string("books/a.txt"), std::string("./books//a.txt"),
        std::string("file://data/books/a.txt"), "file://" + expected}) {
    EXPECT_EQ(*RelativeBeneath(root_, uri), "books/a.txt") << uri;
    EXPECT_EQ(*ResolveBeneath(root_, uri), expected) << uri;
    EXPECT_TRUE(OpenStatus(uri).ok()) << uri;
  }
  EXPECT_EQ(*RelativeBeneath(root_, "file://data"), "");
  EXPECT_EQ(*ResolveBeneath(root_, "file://data/"), root_.path);
  EXPECT_TRUE(OpenStatus(".", O_RDONLY | O_DIRECTORY).ok());
}

TEST_F(SafePathTest, RefusesTextThatCouldLeadOut) {
  for (const std::string& uri :
       {std::string(), std::string("../secret/token.txt"),
        std::string("books/../../secret"), std::string("books/.."),
        std::string("/etc/passwd"), std::string("file:///etc/passwd"),
        std::string("file://other/a.txt"), std::string("file://data2/a.txt"),
        "file://" + root_.path + "2/a.txt", std::string("http://data/a.txt"),
        std::string("%2e%2e/secret"), std::string("books/%2E%2e/x"),
        std::string("a%00b"), std::string("books\\..\\a"),
        std::string("a\0b", 3), std::string("a\nb"), std::string(2049, 'a')}) {
    const absl::Status status = RelativeBeneath(root_, uri).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << uri;
    EXPECT_FALSE(ResolveBeneath(root_, uri).ok()) << uri;
    EXPECT_FALSE(OpenStatus(uri).ok()) << uri;
  }
  EXPECT_TRUE(RelativeBeneath(root_, std::string(2048, 'a')).ok());
  EXPECT_TRUE(RelativeBeneath(root_, "books/..hidden/a..b").ok());
}

TEST_F(SafePathTest, LinksMayNotLeadOut) {
  for (const char* uri :
       {"escape/token.txt", "absolute/token.txt", "dangling/new.txt"}) {
    EXPECT_EQ(ResolveBeneath(root_, uri).status().code(),
              absl::StatusCode::kInvalidArgument)
        << uri;
    EXPECT_FALSE(OpenStatus(uri).ok()) << uri;
    EXPECT_FALSE(OpenStatus(uri, O_WRONLY | O_CREAT).ok()) << uri;
  }
  EXPECT_FALSE(OpenStatus("dangling", O_WRONLY | O_CREAT).ok());
  EXPECT_FALSE(fs::exists(directory_ / "nowhere"));
}

TEST_F(SafePathTest, WritesBeneathTheRoot) {
  EXPECT_EQ(*ResolveBeneath(root_, "new/deep/file.txt"),
            root_.path + "/new/deep/file.txt");
  EXPECT_TRUE(OpenStatus("books/new.txt", O_WRONLY | O_CREAT).ok());
  EXPECT_TRUE(fs::exists(directory_ / "root" / "books" / "new.txt"));
}

TEST_F(SafePathTest, ErrorsNameTheRootAndKeepTheCode) {
  EXPECT_EQ(OpenStatus("books/none.txt").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenStatus("books/a.txt", O_WRONLY | O_CREAT | O_EXCL).code(),
            absl::StatusCode::kAlreadyExists);
  for (const char* uri : {"escape/token.txt", "/etc/passwd", "../x"}) {
    const std::string message(ResolveBeneath(root_, uri).status().message());
    EXPECT_THAT(message, HasSubstr("root 'data'"));
    EXPECT_THAT(message, Not(HasSubstr(directory_.string())));
    EXPECT_THAT(message, Not(HasSubstr("passwd")));
  }
}

// From here on openat2 answers ENOSYS, as in kernels before 5.6.
bool ForbidOpenat2() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {4, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Exit status 0 if every path is treated as it should be without openat2.
[[noreturn]] void ExitWithoutOpenat2(const NamedRoot& root) {
  if (!ForbidOpenat2()) std::_Exit(1);
  if (!OpenBeneath(root, "books/a.txt", O_RDONLY).ok()) std::_Exit(2);
  if (!OpenBeneath(root, "books/b.txt", O_WRONLY | O_CREAT).ok()) std::_Exit(3);
  if (!ResolveBeneath(root, "books/new/c.txt").ok()) std::_Exit(4);
  if (!ResolveBeneath(root, "file://data").ok()) std::_Exit(5);
  for (const char* uri : {"escape/token.txt", "escape", "absolute/token.txt",
                          "inside/a.txt", "dangling"}) {
    if (ResolveBeneath(root, uri).ok()) std::_Exit(6);
    if (OpenBeneath(root, uri, O_RDONLY).ok()) std::_Exit(7);
    if (OpenBeneath(root, uri, O_WRONLY | O_CREAT).ok()) std::_Exit(8);
  }
  std::_Exit(0);
}

TEST_F(SafePathTest, FollowsNoLinkWhereTheKernelLacksOpenat2) {
  EXPECT_EXIT(ExitWithoutOpenat2(root_), ::testing::ExitedWithCode(0), "");
}

TEST(SafePathRootTest, MissingRootIsTheDaemonsFault) {
  const NamedRoot root{"models", "/nonexistent/models"};
  const absl::Status status = ResolveBeneath(root, "a").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("root 'models'"));
}

}  // namespace
}  // namespace longspan
