// Ranks as processes that are killed and stopped in the middle of a gather.
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/rendezvous_stores.h"
#include "tests/worker/collective/endless_gather.h"

extern char** environ;

namespace longspan::worker {
namespace {

using ::testing::HasSubstr;

// A rank in its own process. Killed with the object.
class PeerProcess {
 public:
  PeerProcess(const std::string& directory, int rank, int size,
              int timeout_seconds, int64_t bytes) {
    const char* build = getenv("LONGSPAN_BINARY_DIR");
    LONGSPAN_CHECK(build != nullptr) << "LONGSPAN_BINARY_DIR is not set";
    std::vector<std::string> words = {absl::StrCat(build, "/bin/gloo_peer"),
                                      directory,
                                      absl::StrCat(rank),
                                      absl::StrCat(size),
                                      absl::StrCat(timeout_seconds),
                                      absl::StrCat(bytes)};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int error = posix_spawn(&pid_, words[0].c_str(), nullptr, nullptr,
                                  arguments.data(), environ);
    LONGSPAN_CHECK_EQ(error, 0);
  }
  ~PeerProcess() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    Join();
  }

  void Signal(int number) { kill(pid_, number); }
  int Join() {
    int status = 0;
    if (pid_ > 0) waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
};

// The parameter is the bytes of a part: small ones go through shared memory,
// large ones over TCP.
class ProcessesTest : public ::testing::TestWithParam<int64_t> {
 protected:
  ProcessesTest() {
    std::string pattern = ::testing::TempDir() + "/gloo_peers_XXXXXX";
    LONGSPAN_CHECK(mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
  }
  ~ProcessesTest() override { std::filesystem::remove_all(directory_); }

  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
};

TEST_P(ProcessesTest, KilledPeerFailsTheSurvivorsWithinASecond) {
  PeerProcess survivor(directory(), 1, 3, 30, GetParam());
  PeerProcess victim(directory(), 2, 3, 30, GetParam());
  testing::DirectoryRendezvousStore store(directory());
  absl::Time killed;
  const absl::Status error = GatherUntilError(store, 0, 3, absl::Seconds(30),
                                              GetParam(), [&](int64_t done) {
                                                if (done != 20) return;
                                                killed = absl::Now();
                                                victim.Signal(SIGKILL);
                                              });
  EXPECT_EQ(error.code(), absl::StatusCode::kUnavailable) << error;
  EXPECT_THAT(std::string(error.message()), HasSubstr("rank 0 of 3"));
  const int status = survivor.Join();
  EXPECT_LT(absl::Now() - killed, absl::Seconds(1));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_P(ProcessesTest, StoppedPeerFailsTheOthersAtTheDeadline) {
  PeerProcess victim(directory(), 1, 2, 30, GetParam());
  testing::DirectoryRendezvousStore store(directory());
  absl::Time stopped;
  const absl::Status error = GatherUntilError(store, 0, 2, absl::Seconds(1),
                                              GetParam(), [&](int64_t done) {
                                                if (done != 5) return;
                                                stopped = absl::Now();
                                                victim.Signal(SIGSTOP);
                                              });
  EXPECT_EQ(error.code(), absl::StatusCode::kDeadlineExceeded) << error;
  EXPECT_THAT(std::string(error.message()), HasSubstr("waiting for rank 1"));
  EXPECT_LT(absl::Now() - stopped, absl::Seconds(3));
}

INSTANTIATE_TEST_SUITE_P(Parts, ProcessesTest,
                         ::testing::Values(256 << 10, 2 << 20),
                         [](const auto& info) {
                           return info.param > (1 << 20) ? "Tcp" : "Shared";
                         });

}  // namespace
}  // namespace longspan::worker
