#include "tests/worker/collective/nccl_world.h"

#include <cstdlib>
#include <thread>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "tests/support/queued_device/queued_device.h"
#include "worker/collective/nccl_group.h"

namespace longspan::worker {

absl::Status NcclRank::Finish(std::unique_ptr<Work> work) {
  RETURN_IF_ERROR(work->Wait());
  return stream->Synchronize();
}

void UseFakeNccl(const std::string& faults) {
  const char* build = std::getenv("LONGSPAN_BINARY_DIR");
  LONGSPAN_CHECK(build != nullptr) << "LONGSPAN_BINARY_DIR is not set";
  const std::string path = std::string(build) + "/lib/libfake_nccl.so";
  setenv("LONGSPAN_NCCL_LIBRARY", path.c_str(), 1);
  setenv("LONGSPAN_FAKE_NCCL", faults.c_str(), 1);
}

absl::StatusOr<NcclRank> ConnectNcclRank(int rank, int size,
                                         testing::MemoryRendezvousStore& store,
                                         absl::Duration connect_timeout) {
  NcclRank made;
  made.backend = testing::CreateQueuedDevice();
  ASSIGN_OR_RETURN(made.stream, made.backend->CreateStream(1));
  NcclGroupOptions options = {.rank = rank, .size = size};
  options.key_prefix = "job/1/1";
  options.backend = made.backend.get();
  options.connect_timeout = connect_timeout;
  ASSIGN_OR_RETURN(made.group, CreateNcclGroup(options, store));
  return made;
}

std::vector<absl::Status> OnNcclRanks(
    int size, const std::string& faults,
    const std::function<absl::Status(NcclRank&)>& body) {
  UseFakeNccl(faults);
  testing::MemoryRendezvousStore store;
  std::vector<absl::Status> statuses(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      auto made = ConnectNcclRank(rank, size, store, absl::Seconds(20));
      statuses[rank] = made.ok() ? body(*made) : made.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

}  // namespace longspan::worker
