#include "tests/support/thread_world.h"

#include <memory>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "worker/collective/thread_group.h"

namespace longspan::testing {

absl::Status RunThreadWorld(
    int ranks, const std::function<absl::Status(worker::ProcessGroup&)>& body) {
  std::vector<std::unique_ptr<worker::ProcessGroup>> groups =
      worker::CreateThreadGroups(ranks);
  Mutex mu;
  absl::Status first;
  std::vector<std::thread> threads;
  for (auto& group : groups) {
    threads.emplace_back([&, group = group.get()] {
      const absl::Status status = body(*group);
      if (status.ok()) return;
      MutexLock lock(mu);
      if (!first.ok()) return;
      first = status;
      group->Abort(status);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return first;
}

}  // namespace longspan::testing
