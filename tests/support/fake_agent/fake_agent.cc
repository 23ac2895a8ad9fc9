#include "tests/support/fake_agent/fake_agent.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstdlib>
#include <utility>

#include "common/base/check.h"

namespace longspan::testing {
namespace {

using internal::FromExecutor;
using internal::ToExecutor;

std::string Program() {
  const char* directory = std::getenv("LONGSPAN_BINARY_DIR");
  LONGSPAN_CHECK(directory != nullptr) << "LONGSPAN_BINARY_DIR is not set";
  return std::string(directory) + "/bin/longspan-executor";
}

// Starts the program with `socket` as its descriptor 3.
pid_t SpawnWithSocket(const std::string& program, int socket) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (socket == 3) {
    ::fcntl(socket, F_SETFD, 0);
  } else {
    ::posix_spawn_file_actions_adddup2(&actions, socket, 3);
  }
  std::string name = program;
  char* arguments[] = {name.data(), nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, nullptr,
                                  arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  LONGSPAN_CHECK_EQ(error, 0) << program;
  return pid;
}

void Answer(const std::string& value, int64_t id, ToExecutor* message) {
  message->mutable_rendezvous()->set_id(id);
  message->mutable_rendezvous()->set_value(value);
}

}  // namespace

FakeAgent::FakeAgent(internal::ExecutorAssignment assignment, int ranks)
    : assignment_(std::move(assignment)), ranks_(ranks) {}

FakeAgent::~FakeAgent() {
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    Kill(static_cast<int>(rank), SIGKILL);
    Wait(static_cast<int>(rank));
  }
}

void FakeAgent::Launch() {
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    Spawn(static_cast<int>(rank));
  }
}

void FakeAgent::Spawn(int rank) {
  int fds[2];
  LONGSPAN_CHECK_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    0);
  Rank& state = ranks_[rank];
  state.socket = std::make_unique<worker::FrameSocket>(UniqueFd(fds[0]));
  const UniqueFd executor_end(fds[1]);
  state.pid = SpawnWithSocket(Program(), executor_end.get());
  ToExecutor message;
  *message.mutable_assign() = assignment_;
  message.mutable_assign()->mutable_assignment()->set_rank(rank);
  {
    MutexLock lock(mu_);
    Send(rank, message);
  }
  state.reader = std::thread([this, rank] { Read(rank); });
}

void FakeAgent::Send(int rank, const ToExecutor& message) {
  // An executor that is gone is noticed by its reader.
  (void)ranks_[rank].socket->Write(message.SerializeAsString());
}

void FakeAgent::Read(int rank) {
  while (true) {
    absl::StatusOr<std::string> frame = ranks_[rank].socket->Read();
    if (!frame.ok()) return;
    FromExecutor message;
    LONGSPAN_CHECK(message.ParseFromString(*frame)) << "rank " << rank;
    Handle(rank, message);
  }
}

void FakeAgent::Handle(int rank, const FromExecutor& message) {
  {
    MutexLock lock(mu_);
    ranks_[rank].messages.push_back(message);
    if (message.has_rendezvous()) Relay(rank, message.rendezvous());
    if (message.has_prepared() &&
        ++prepared_ == static_cast<int>(ranks_.size())) {
      ToExecutor start;
      start.mutable_start();
      for (size_t r = 0; r < ranks_.size(); ++r) {
        Send(static_cast<int>(r), start);
      }
    }
  }
  if (on_message) on_message(rank, message);
}

void FakeAgent::Relay(int rank, const v1::RendezvousRequest& request) {
  ToExecutor reply;
  if (request.has_set()) {
    const std::string& key = request.set().key();
    values_[key] = request.set().value();
    Answer("", request.id(), &reply);
    Send(rank, reply);
    const auto [begin, end] = waiting_.equal_range(key);
    for (auto it = begin; it != end; ++it) {
      Answer(request.set().value(), it->second.second, &reply);
      Send(it->second.first, reply);
    }
    waiting_.erase(begin, end);
    return;
  }
  const auto found = values_.find(request.get());
  if (found == values_.end()) {
    waiting_.insert({request.get(), {rank, request.id()}});
    return;
  }
  Answer(found->second, request.id(), &reply);
  Send(rank, reply);
}

void FakeAgent::Stop(int rank, const std::string& reason) {
  ToExecutor message;
  message.mutable_stop()->set_reason(reason);
  MutexLock lock(mu_);
  Send(rank, message);
}

void FakeAgent::Kill(int rank, int signal) {
  const Rank& state = ranks_[rank];
  if (state.pid > 0 && !state.wait_status) ::kill(state.pid, signal);
}

void FakeAgent::HangUp(int rank) { ranks_[rank].socket->Shutdown(); }

int FakeAgent::Wait(int rank) {
  Rank& state = ranks_[rank];
  if (state.pid > 0 && !state.wait_status) {
    int status = 0;
    LONGSPAN_CHECK_EQ(::waitpid(state.pid, &status, 0), state.pid);
    state.wait_status = status;
  }
  if (state.reader.joinable()) state.reader.join();
  return state.wait_status.value_or(0);
}

std::vector<FromExecutor> FakeAgent::messages(int rank) {
  MutexLock lock(mu_);
  return ranks_[rank].messages;
}

std::optional<internal::Finished> FakeAgent::finished(int rank) {
  for (const FromExecutor& message : messages(rank)) {
    if (message.has_finished()) return message.finished();
  }
  return std::nullopt;
}

std::optional<internal::Prepared> FakeAgent::prepared(int rank) {
  for (const FromExecutor& message : messages(rank)) {
    if (message.has_prepared()) return message.prepared();
  }
  return std::nullopt;
}

std::vector<v1::Progress> FakeAgent::progress(int rank) {
  std::vector<v1::Progress> progress;
  for (const FromExecutor& message : messages(rank)) {
    if (message.has_progress()) progress.push_back(message.progress());
  }
  return progress;
}

std::string FakeAgent::tokens(int rank) {
  std::string text;
  for (const FromExecutor& message : messages(rank)) {
    for (const v1::GeneratedTokenData& token : message.tokens().tokens()) {
      text += token.text();
    }
  }
  return text;
}

std::string FakeAgent::log(int rank) {
  std::string text;
  for (const FromExecutor& message : messages(rank)) {
    text += message.log().data();
  }
  return text;
}

std::map<std::string, double> FakeAgent::metric_totals(int rank) {
  std::map<std::string, double> totals;
  for (const FromExecutor& message : messages(rank)) {
    for (const internal::MetricSample& sample : message.metrics().samples()) {
      totals[sample.name()] += sample.set() + sample.add() + sample.observe();
    }
  }
  return totals;
}

}  // namespace longspan::testing
