// The supervisor runs in a child process: it owns signals and waits for every
// child.
#include "cli/supervisor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>

namespace longspan::cli {
namespace {

class SupervisorTest : public testing::Test {
 protected:
  SupervisorTest() {
    directory_ = testing::TempDir() + "supervisor_" + std::to_string(getpid()) +
                 "_" +
                 testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }

  // A shell script that appends its process id to `<name>.pids`.
  DaemonCommand Daemon(const std::string& name, const std::string& script) {
    std::string record = "echo $$ >> " + directory_ + "/" + name + ".pids; ";
    return {name, {"/bin/sh", "-c", record + script}, directory_ + "/log"};
  }

  std::string Text(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(directory_ + "/" + file).rdbuf();
    return text.str();
  }

  int LineCount(const std::string& file) {
    std::string text = Text(file);
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }

  // Waits for something that another process does; fails after 10 s.
  static void Await(const std::function<bool()>& condition) {
    for (int i = 0; i < 1000 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_TRUE(condition());
  }

  pid_t Start(const std::vector<DaemonCommand>& daemons, bool restart) {
    pid_t pid = fork();
    if (pid == 0) {
      SupervisorOptions options;
      options.restart = restart;
      options.stop_seconds = 2;
      absl::Status status = Supervise(daemons, options, [] {});
      _exit(status.ok() ? 0 : 1);
    }
    return pid;
  }

  static int ExitOf(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  bool Alive(const std::string& name) {
    pid_t pid = std::stoi("0" + Text(name + ".pids"));
    return pid > 0 && kill(pid, 0) == 0;
  }

  std::string directory_;
};

TEST_F(SupervisorTest, SigtermStopsEveryChild) {
  pid_t pid = Start(
      {Daemon("a", "exec sleep 100"), Daemon("b", "exec sleep 100")}, true);
  Await([&] { return LineCount("a.pids") == 1 && LineCount("b.pids") == 1; });
  kill(pid, SIGTERM);
  EXPECT_EQ(ExitOf(pid), 0);
  EXPECT_FALSE(Alive("a"));
  EXPECT_FALSE(Alive("b"));
}

TEST_F(SupervisorTest, ADaemonThatDiesIsStartedAgain) {
  pid_t pid =
      Start({Daemon("a", "exec sleep 100"), Daemon("b", "exit 3")}, true);
  Await([&] { return LineCount("b.pids") >= 3; });
  EXPECT_EQ(LineCount("a.pids"), 1);
  kill(pid, SIGINT);
  EXPECT_EQ(ExitOf(pid), 0);
}

TEST_F(SupervisorTest, WithoutRestartADeathEndsAll) {
  pid_t pid = Start(
      {Daemon("a", "exec sleep 100"), Daemon("b", "sleep 0.1; exit 3")}, false);
  EXPECT_EQ(ExitOf(pid), 1);
  EXPECT_FALSE(Alive("a"));
}

TEST_F(SupervisorTest, AChildThatIgnoresSigtermIsKilled) {
  pid_t pid =
      Start({Daemon("a", "trap '' TERM; while :; do sleep 0.1; done")}, true);
  Await([&] { return LineCount("a.pids") == 1; });
  kill(pid, SIGTERM);
  EXPECT_EQ(ExitOf(pid), 0);
  EXPECT_FALSE(Alive("a"));
}

TEST_F(SupervisorTest, ABinaryThatCannotRunIsAnError) {
  DaemonCommand missing = {"x", {"/nonexistent/daemon"}, directory_ + "/log"};
  EXPECT_EQ(ExitOf(Start({missing}, true)), 1);
}

}  // namespace
}  // namespace longspan::cli
