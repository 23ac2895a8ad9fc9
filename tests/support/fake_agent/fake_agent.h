// An agent and a coordinator in one, as far as executors can see: starts a
// gang of real longspan-executor processes, relays their rendezvous, starts
// them when all are prepared, and keeps everything they say.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "longspan/internal/executor.pb.h"
#include "worker/executor/frame_socket.h"

namespace longspan::testing {

class FakeAgent {
 public:
  // `assignment` is rank 0's; other ranks get theirs from it. The program is
  // $LONGSPAN_BINARY_DIR/bin/longspan-executor.
  FakeAgent(internal::ExecutorAssignment assignment, int ranks);
  // Kills what still runs.
  ~FakeAgent();

  // Called for every message, by the rank's thread, after it was recorded.
  std::function<void(int rank, const internal::FromExecutor&)> on_message;

  void Launch();
  void Stop(int rank, const std::string& reason);
  void Kill(int rank, int signal);
  // Closes the agent's end of the socket.
  void HangUp(int rank);

  // The process's wait status, after it has ended.
  int Wait(int rank);

  // What a rank said. Call after Wait.
  std::optional<internal::Finished> finished(int rank);
  std::optional<internal::Prepared> prepared(int rank);
  std::vector<v1::Progress> progress(int rank);
  std::string tokens(int rank);
  std::string log(int rank);
  std::map<std::string, double> metric_totals(int rank);

 private:
  struct Rank {
    pid_t pid = -1;
    std::unique_ptr<worker::FrameSocket> socket;
    std::thread reader;
    std::vector<internal::FromExecutor> messages;
    std::optional<int> wait_status;
  };

  void Spawn(int rank);
  void Read(int rank);
  void Handle(int rank, const internal::FromExecutor& message);
  void Relay(int rank, const v1::RendezvousRequest& request) REQUIRES(mu_);
  void Send(int rank, const internal::ToExecutor& message) REQUIRES(mu_);
  std::vector<internal::FromExecutor> messages(int rank);

  const internal::ExecutorAssignment assignment_;

  Mutex mu_;
  std::vector<Rank> ranks_;
  std::map<std::string, std::string> values_ GUARDED_BY(mu_);
  // Key -> (rank, id) of those who wait for it.
  std::multimap<std::string, std::pair<int, int64_t>> waiting_ GUARDED_BY(mu_);
  int prepared_ GUARDED_BY(mu_) = 0;
};

}  // namespace longspan::testing
