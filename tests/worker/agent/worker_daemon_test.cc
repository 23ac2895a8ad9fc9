// The worker daemon as a process, between a fake coordinator and fake
// executors.
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/worker/agent/fake_coordinator.h"
#include "worker/agent/device_inventory.h"

extern char** environ;

namespace longspan::worker {
namespace {

using ::testing::HasSubstr;
using State = v1::AssignmentStatus;
namespace fs = std::filesystem;

std::string Binary(const std::string& name) {
  const char* build = getenv("LONGSPAN_BINARY_DIR");
  LONGSPAN_CHECK(build != nullptr) << "LONGSPAN_BINARY_DIR is not set";
  return absl::StrCat(build, "/bin/", name);
}

class DaemonProcess {
 public:
  explicit DaemonProcess(std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    LONGSPAN_CHECK_EQ(posix_spawn(&pid_, words[0].c_str(), nullptr, nullptr,
                                  arguments.data(), environ),
                      0);
  }
  ~DaemonProcess() {
    if (pid_ > 0) Kill();
  }

  void Signal(int number) { kill(pid_, number); }
  int Join() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  void Kill() {
    Signal(SIGKILL);
    Join();
  }
  // SIGTERM; true if it then exits with 0.
  bool Terminate() {
    Signal(SIGTERM);
    const int status = Join();
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t pid_ = -1;
};

class WorkerDaemonTest : public ::testing::Test {
 protected:
  WorkerDaemonTest() : coordinator_(std::make_unique<FakeCoordinator>()) {
    std::string pattern = ::testing::TempDir() + "/worker_daemon_XXXXXX";
    LONGSPAN_CHECK(mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
  }
  ~WorkerDaemonTest() override {
    daemon_.reset();
    fs::remove_all(directory_);
  }

  FakeCoordinator& coordinator() { return *coordinator_; }
  DaemonProcess& daemon() { return *daemon_; }

  std::vector<std::string> Command() const {
    return {Binary("longspan-worker"),
            absl::StrCat("--coordinator=127.0.0.1:", coordinator_->port()),
            "--name=worker-a",
            "--slots=2",
            "--threads=1",
            absl::StrCat("--state-dir=", directory_, "/state"),
            absl::StrCat("--data-root=corpus=", directory_),
            absl::StrCat("--executor=", Binary("fake_executor")),
            "--metrics-grace=200ms"};
  }
  void StartDaemon(const std::vector<std::string>& more = {}) {
    std::vector<std::string> command = Command();
    command.insert(command.end(), more.begin(), more.end());
    daemon_.reset();
    daemon_ = std::make_unique<DaemonProcess>(command);
  }
  v1::Register StartAndRegister(const std::vector<std::string>& more = {}) {
    StartDaemon(more);
    return coordinator_->AwaitRegister();
  }
  void StopCoordinator() { coordinator_.reset(); }
  void RestartCoordinator() {
    const int port = coordinator_->port();
    StopCoordinator();
    coordinator_ = std::make_unique<FakeCoordinator>(port);
  }

  static v1::AttemptKey Key(int attempt = 1) {
    v1::AttemptKey key;
    key.set_job("tenants/default/jobs/j1");
    key.set_attempt(attempt);
    key.set_epoch(attempt);
    return key;
  }
  void Assign(const std::string& behaviour, const v1::AttemptKey& key = Key(),
              int slot = 0) {
    v1::CoordinatorMessage message;
    v1::Assignment* assignment = message.mutable_assignment();
    *assignment->mutable_key() = key;
    assignment->mutable_spec()->set_name(behaviour);
    assignment->set_slot(slot);
    coordinator_->Send(message);
  }
  void Start(const v1::AttemptKey& key = Key()) {
    v1::CoordinatorMessage message;
    *message.mutable_start()->mutable_key() = key;
    coordinator_->Send(message);
  }
  void Stop(int grace_seconds, const v1::AttemptKey& key = Key()) {
    v1::CoordinatorMessage message;
    *message.mutable_stop()->mutable_key() = key;
    message.mutable_stop()->set_reason("cancelled by a person");
    message.mutable_stop()->mutable_grace()->set_seconds(grace_seconds);
    coordinator_->Send(message);
  }
  void PrepareAndStart(const std::string& behaviour) {
    Assign(behaviour);
    coordinator_->AwaitStatus(State::PREPARED);
    Start();
    coordinator_->AwaitStatus(State::RUNNING);
  }
  std::vector<pid_t> RememberedExecutors() const {
    std::vector<pid_t> pids;
    for (const auto& entry :
         fs::directory_iterator(directory_ + "/state/executors")) {
      int pid = 0;
      if (absl::SimpleAtoi(entry.path().filename().string(), &pid)) {
        pids.push_back(pid);
      }
    }
    return pids;
  }
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
  std::unique_ptr<FakeCoordinator> coordinator_;
  std::unique_ptr<DaemonProcess> daemon_;
};

bool IsRunning(pid_t pid) {
  std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
  std::string number, name, state;
  stat >> number >> name >> state;
  return stat && state != "Z";
}

// False if it still runs after as long as the fake coordinator waits.
bool Ends(pid_t pid) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (IsRunning(pid) && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  return !IsRunning(pid);
}

TEST_F(WorkerDaemonTest, RegistersItsSlotsAndRenewsItsLease) {
  const v1::Register first = StartAndRegister();
  EXPECT_EQ(first.worker(), "worker-a");
  EXPECT_FALSE(first.incarnation().empty());
  ASSERT_EQ(first.info().devices_size(), 2);
  EXPECT_EQ(first.info().devices(1).slot(), 1);
  EXPECT_EQ(first.info().devices(1).kind(), "cpu");
  EXPECT_EQ(first.info().devices(1).threads(), 1);
  EXPECT_GT(first.info().devices(1).memory_bytes(), 0);
  EXPECT_THAT(first.info().roots(), ::testing::ElementsAre("corpus"));
  EXPECT_EQ(first.info().api_version_min(), 1);
  for (int i = 0; i < 3; ++i) {
    coordinator().Await("RenewLease", [](const auto& message) {
      return message.has_renew_lease();
    });
  }
  EXPECT_TRUE(daemon().Terminate());
}

TEST_F(WorkerDaemonTest, CarriesAJobFromAssignmentToResult) {
  StartAndRegister();
  Assign("succeed");
  const State prepared = coordinator().AwaitStatus(State::PREPARED);
  EXPECT_EQ(prepared.key().job(), Key().job());
  EXPECT_EQ(prepared.resumed_step(), 1);  // the fake says its thread count
  Start();
  coordinator().AwaitStatus(State::RUNNING);
  const State done = coordinator().AwaitStatus(State::SUCCEEDED);
  EXPECT_EQ(done.result().train().steps(), 7);
  EXPECT_EQ(done.error_code(), 0);
  const auto report = coordinator().Await(
      "RankReport", [](const auto& m) { return m.has_rank_report(); });
  EXPECT_EQ(report.rank_report().progress().done(), 7);
  const auto tokens = coordinator().Await(
      "Tokens", [](const auto& m) { return m.has_tokens(); });
  EXPECT_EQ(tokens.tokens().tokens(0).text(), "token");
  EXPECT_EQ(tokens.tokens().key().epoch(), 1);
  const auto log =
      coordinator().Await("LogData", [](const auto& m) { return m.has_log(); });
  EXPECT_EQ(log.log().data(), "a line");
  EXPECT_TRUE(RememberedExecutors().empty());
}

TEST_F(WorkerDaemonTest, AnExecutorThatDiesIsReported) {
  StartAndRegister();
  Assign("crash");
  coordinator().AwaitStatus(State::PREPARED);
  Start();
  const State failed = coordinator().AwaitStatus(State::FAILED);
  EXPECT_EQ(failed.error_code(),
            static_cast<int>(absl::StatusCode::kUnavailable));
  EXPECT_THAT(failed.error(), HasSubstr("killed by signal 9"));
  // The slot is free again.
  Stop(0);
  Assign("exit-early", Key(2));
  EXPECT_THAT(coordinator().AwaitStatus(State::FAILED).error(),
              HasSubstr("exited with status 3"));
}

TEST_F(WorkerDaemonTest, StopsGracefullyAndThenByForce) {
  StartAndRegister();
  PrepareAndStart("wait");
  Stop(20);
  const State stopped = coordinator().AwaitStatus(State::STOPPED);
  EXPECT_EQ(stopped.error(), "cancelled by a person");
  Assign("stubborn", Key(2));
  coordinator().AwaitStatus(State::PREPARED);
  const absl::Time asked = absl::Now();
  Stop(1, Key(2));
  EXPECT_THAT(coordinator().AwaitStatus(State::STOPPED).error(),
              HasSubstr("killed by signal 9"));
  EXPECT_GT(absl::Now() - asked, absl::Milliseconds(900));
}

TEST_F(WorkerDaemonTest, RelaysTheRendezvous) {
  StartAndRegister();
  PrepareAndStart("rendezvous");
  const auto is_rendezvous = [](const auto& m) { return m.has_rendezvous(); };
  for (int id = 1; id <= 2; ++id) {
    const auto request =
        coordinator().Await("RendezvousRequest", is_rendezvous).rendezvous();
    EXPECT_EQ(request.id(), id);
    EXPECT_EQ(request.key().epoch(), 1);
    v1::CoordinatorMessage reply;
    *reply.mutable_rendezvous()->mutable_key() = request.key();
    reply.mutable_rendezvous()->set_id(id);
    if (id == 2) reply.mutable_rendezvous()->set_value("here");
    coordinator().Send(reply);
  }
  EXPECT_EQ(coordinator().AwaitStatus(State::SUCCEEDED).error(), "here");
}

TEST_F(WorkerDaemonTest, RefusesStaleAndImpossibleAssignments) {
  StartAndRegister();
  Assign("wait", Key(3));
  coordinator().AwaitStatus(State::PREPARED);
  Assign("wait", Key(2), 1);  // older than what was seen
  EXPECT_TRUE(coordinator().NoneWithin(
      absl::Milliseconds(300), [](const auto& message) {
        return message.has_assignment_status() &&
               message.assignment_status().key().attempt() == 2;
      }));
  v1::AttemptKey other = Key(1);
  other.set_job("tenants/default/jobs/j2");
  Assign("wait", other, 0);
  EXPECT_THAT(coordinator().AwaitStatus(State::FAILED).error(),
              HasSubstr("slot 0 is in use by tenants/default/jobs/j1"));
  other.set_epoch(2);
  Assign("wait", other, 5);
  EXPECT_THAT(coordinator().AwaitStatus(State::FAILED).error(),
              HasSubstr("slot 5 is outside [0, 2)"));
}

TEST_F(WorkerDaemonTest, ANewerAttemptSupersedesAnOlderOne) {
  StartAndRegister();
  PrepareAndStart("wait");
  const pid_t old = RememberedExecutors().at(0);
  Assign("succeed", Key(2));
  EXPECT_EQ(coordinator().AwaitStatus(State::STOPPED).key().attempt(), 1);
  EXPECT_FALSE(IsRunning(old));
  EXPECT_EQ(coordinator().AwaitStatus(State::PREPARED).key().attempt(), 2);
}

TEST_F(WorkerDaemonTest, ExecutorsOutliveTheCoordinator) {
  const v1::Register first = StartAndRegister();
  PrepareAndStart("wait");
  const pid_t executor = RememberedExecutors().at(0);
  RestartCoordinator();
  const v1::Register second = coordinator().AwaitRegister();
  EXPECT_EQ(second.incarnation(), first.incarnation());
  ASSERT_EQ(second.running_size(), 1);
  EXPECT_EQ(second.running(0).key().epoch(), 1);
  coordinator().AwaitStatus(State::RUNNING);  // said again
  EXPECT_TRUE(IsRunning(executor));
  // An end that was not acknowledged is said again, until it is.
  Stop(20);
  coordinator().AwaitStatus(State::STOPPED);
  RestartCoordinator();
  coordinator().AwaitRegister();
  coordinator().AwaitStatus(State::STOPPED);
  Stop(0);
  Assign("wait", Key(2));  // prepared after the stop was read
  coordinator().AwaitStatus(State::PREPARED);
  RestartCoordinator();
  const v1::Register third = coordinator().AwaitRegister();
  ASSERT_EQ(third.running_size(), 1);
  EXPECT_EQ(third.running(0).key().epoch(), 2);
}

TEST_F(WorkerDaemonTest, DetachedForTooLongItStopsItsExecutors) {
  StartAndRegister();
  PrepareAndStart("wait");
  const pid_t executor = RememberedExecutors().at(0);
  // A short timeout, once nothing slow is left to do; its answer is the status.
  v1::CoordinatorMessage again;
  *again.mutable_registered() = coordinator().registered;
  again.mutable_registered()->mutable_detached_timeout()->set_seconds(1);
  coordinator().Send(again);
  coordinator().AwaitStatus(State::RUNNING);
  StopCoordinator();
  EXPECT_TRUE(Ends(executor));
}

TEST_F(WorkerDaemonTest, ARestartedDaemonEndsOldExecutorsFirst) {
  const v1::Register first = StartAndRegister();
  PrepareAndStart("stubborn");  // outlives its daemon
  const pid_t executor = RememberedExecutors().at(0);
  daemon().Kill();
  EXPECT_TRUE(IsRunning(executor));
  const v1::Register second = StartAndRegister();
  EXPECT_FALSE(IsRunning(executor));
  EXPECT_NE(second.incarnation(), first.incarnation());
  EXPECT_EQ(second.running_size(), 0);
}

TEST_F(WorkerDaemonTest, ExecutorsEndWithTheirDaemon) {
  StartAndRegister();
  PrepareAndStart("wait");
  const pid_t executor = RememberedExecutors().at(0);
  daemon().Kill();
  EXPECT_TRUE(Ends(executor));
}

TEST_F(WorkerDaemonTest, TerminateDrains) {
  StartAndRegister();
  PrepareAndStart("wait");
  const pid_t executor = RememberedExecutors().at(0);
  daemon().Signal(SIGTERM);
  coordinator().Await("Draining",
                      [](const auto& m) { return m.has_draining(); });
  coordinator().AwaitStatus(State::STOPPED);
  const int status = daemon().Join();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_FALSE(IsRunning(executor));
}

TEST_F(WorkerDaemonTest, ASecondDaemonOnTheSameStateIsRefused) {
  StartAndRegister();
  DaemonProcess second(Command());
  const int status = second.Join();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
}

TEST_F(WorkerDaemonTest, SendsItsToken) {
  const std::string path = directory() + "/token";
  std::ofstream(path) << "0123456789abcdef0123";
  fs::permissions(path, fs::perms::owner_read);
  StartAndRegister({"--token-file=" + path});
  EXPECT_EQ(coordinator().authorization(), "Bearer 0123456789abcdef0123");
}

// What the probe has to say goes to the daemon's standard error: its log.
TEST(DeviceProbeTest, SaysWhyAutoOffersTheCpu) {
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  ::testing::internal::CaptureStderr();
  const auto info = ProbeDevicesInChild(Binary("longspan-worker"),
                                        {.devices = "auto"}, LogFormat::kJson);
  const std::string log = ::testing::internal::GetCapturedStderr();
  unsetenv("CUDA_VISIBLE_DEVICES");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->devices(0).kind(), "cpu");
  EXPECT_THAT(log, HasSubstr("\"level\":\"warning\""));
  EXPECT_THAT(log, HasSubstr("--devices auto offers the CPU"));
}

}  // namespace
}  // namespace longspan::worker
