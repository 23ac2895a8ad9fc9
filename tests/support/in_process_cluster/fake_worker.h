// A worker daemon without executors: it keeps what the coordinator sends and
// says what the test wants. React() makes it behave like a daemon whose ranks
// all do as they are told.
//
// Not thread-safe, except for what the coordinator calls.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "coordinator/dispatch/worker_link.h"
#include "longspan/v1/worker_service.pb.h"

namespace longspan::coordinator {
class Core;
}  // namespace longspan::coordinator

namespace longspan::testing {

struct FakeWorkerOptions {
  std::string name = "w0";
  int slots = 1;
  int threads = 4;
  int64_t memory_bytes = int64_t{8} << 30;
  std::vector<std::string> roots = {"corpus", "models", "outputs"};
  std::string build = "test";
};

class FakeWorker {
 public:
  explicit FakeWorker(FakeWorkerOptions options);

  // Opens a stream to `core` and registers.
  absl::Status Connect(coordinator::Core& core);
  // The stream breaks; executors live on.
  void Disconnect();
  // The daemon dies and comes back: a new incarnation without executors.
  void Restart();

  absl::Status Send(const v1::WorkerMessage& message);
  absl::Status Renew();
  void Report(const v1::AttemptKey& key, int rank,
              v1::AssignmentStatus::State state, const std::string& error = "",
              int code = 0);
  // Reports for the newest assignment of `rank`.
  void Report(int rank, v1::AssignmentStatus::State state,
              const std::string& error = "", int code = 0);
  void Progress(int rank, int64_t step, int64_t checkpoint_step = 0,
                double fraction = 0);

  // What came since the last call.
  std::vector<v1::CoordinatorMessage> Take();

  // Handles what came: prepares, starts, stops. True if there was anything.
  bool React();

  // A rank that this daemon has.
  struct Executor {
    v1::AttemptKey key;
    int rank = 0;
    int slot = 0;
    v1::AssignmentStatus::State state = v1::AssignmentStatus::PREPARED;
  };
  std::vector<Executor>& executors() { return executors_; }
  Executor& executor(int rank);

  bool connected() const { return core_ != nullptr; }
  const std::string& name() const { return options_.name; }
  // What the coordinator refused.
  const std::vector<v1::Refused>& refusals() const { return refusals_; }
  // Why the coordinator closed the stream; OK while it is open.
  absl::Status closed() const;

 private:
  class Link;

  void Handle(const v1::CoordinatorMessage& message);
  void OnAssignment(const v1::Assignment& assignment);
  void OnStart(const v1::AttemptKey& key);
  void OnStop(const v1::AttemptKey& key);
  v1::WorkerMessage MakeRegister() const;

  const FakeWorkerOptions options_;
  int incarnation_ = 1;
  coordinator::Core* core_ = nullptr;
  int64_t connection_ = 0;
  std::shared_ptr<Link> link_;
  std::vector<Executor> executors_;
  std::vector<v1::Refused> refusals_;
};

}  // namespace longspan::testing
