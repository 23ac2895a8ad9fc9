#include "tests/worker/collective/group_worlds.h"

#include <thread>

#include "common/base/check.h"
#include "tests/support/rendezvous_stores.h"
#include "worker/collective/gloo_group.h"
#include "worker/collective/thread_group.h"

namespace longspan::worker {
namespace {

std::vector<std::unique_ptr<ProcessGroup>> MakeGlooGroups(int size,
                                                          bool shared) {
  testing::MemoryRendezvousStore store;
  std::vector<std::unique_ptr<ProcessGroup>> groups(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      GlooGroupOptions options;
      options.rank = rank;
      options.size = size;
      options.key_prefix = "job/1/1";
      options.secret = "secret of the test";
      options.shared_memory = shared;
      options.connect_timeout = absl::Seconds(20);
      auto group = CreateGlooGroup(options, store);
      LONGSPAN_CHECK_OK(group.status());
      groups[rank] = *std::move(group);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return groups;
}

}  // namespace

std::string GroupKindName(GroupKind kind) {
  switch (kind) {
    case GroupKind::kThread:
      return "Thread";
    case GroupKind::kGloo:
      return "Gloo";
    case GroupKind::kGlooTcp:
      return "GlooTcp";
  }
  return "";
}

std::vector<std::unique_ptr<ProcessGroup>> MakeGroups(GroupKind kind,
                                                      int size) {
  if (kind == GroupKind::kThread) return CreateThreadGroups(size);
  return MakeGlooGroups(size, kind == GroupKind::kGloo);
}

std::vector<absl::Status> OnAllRanks(
    std::vector<std::unique_ptr<ProcessGroup>> groups,
    const std::function<absl::Status(ProcessGroup&)>& body) {
  std::vector<absl::Status> statuses(groups.size());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < groups.size(); ++rank) {
    threads.emplace_back([&, rank] {
      const std::unique_ptr<ProcessGroup> group = std::move(groups[rank]);
      statuses[rank] = body(*group);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

}  // namespace longspan::worker
