#include "worker/collective/nccl_connect.h"

#include <algorithm>
#include <cstring>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr absl::Duration kConnectAbortTimeout = absl::Seconds(10);

std::string IdKey(const NcclGroupOptions& options) {
  return options.key_prefix + "/nccl_id";
}

absl::StatusOr<NcclUniqueId> MakeId(const NcclLibrary& library,
                                    const NcclGroupOptions& options,
                                    RendezvousStore& store) {
  NcclUniqueId id;
  RETURN_IF_ERROR(NcclStatus(library, library.get_unique_id(&id), nullptr,
                             "rank 0: making the NCCL id"));
  RETURN_IF_ERROR(
      store.Set(IdKey(options), std::string(id.bytes, sizeof(id.bytes))));
  return id;
}

absl::StatusOr<NcclUniqueId> FetchId(const NcclGroupOptions& options,
                                     RendezvousStore& store) {
  const auto value = store.Get(IdKey(options), options.connect_timeout);
  if (!value.ok()) {
    return absl::Status(
        value.status().code(),
        absl::StrCat("rank ", options.rank, ": waiting for the NCCL id of rank",
                     " 0: ", value.status().message()));
  }
  NcclUniqueId id;
  if (value->size() != sizeof(id.bytes)) {
    return absl::InternalError(absl::StrCat("rank ", options.rank,
                                            ": an NCCL id of ", value->size(),
                                            " bytes; 128 were expected"));
  }
  std::memcpy(id.bytes, value->data(), sizeof(id.bytes));
  return id;
}

absl::Status Explain(const absl::Status& status,
                     const NcclGroupOptions& options) {
  if (status.code() != absl::StatusCode::kDeadlineExceeded) return status;
  return absl::DeadlineExceededError(absl::StrCat(
      status.message(), " within ",
      absl::FormatDuration(options.connect_timeout),
      "; a rank did not start, or the ranks cannot reach each other "
      "(NCCL_SOCKET_IFNAME chooses the network)"));
}

}  // namespace

NcclTimePoint NcclDeadline(absl::Duration timeout) {
  return SteadyClock::now() +
         absl::ToChronoNanoseconds(std::min(timeout, absl::Hours(24)));
}

absl::StatusOr<NcclComm> ConnectNccl(const NcclLibrary& library,
                                     const NcclGroupOptions& options,
                                     RendezvousStore& store) {
  const NcclTimePoint deadline = NcclDeadline(options.connect_timeout);
  ASSIGN_OR_RETURN(const NcclUniqueId id, options.rank == 0
                                              ? MakeId(library, options, store)
                                              : FetchId(options, store));
  const std::string what =
      absl::StrCat("rank ", options.rank, ": connecting ", options.size,
                   " ranks over NCCL ", NcclVersionText(library.version));
  NcclConfig config;
  config.blocking = 0;
  NcclComm comm = nullptr;
  const NcclResult started = library.comm_init_rank_config(
      &comm, options.size, id, options.rank, &config);
  absl::Status status = started == kNcclInProgress
                            ? SettleNccl(library, comm, what, deadline,
                                         [] { return absl::OkStatus(); })
                            : NcclStatus(library, started, comm, what);
  if (status.ok()) return comm;
  if (comm != nullptr) AbortNccl(library, comm, kConnectAbortTimeout);
  return Explain(status, options);
}

absl::Status SettleNccl(const NcclLibrary& library, NcclComm comm,
                        const std::string& what, NcclTimePoint deadline,
                        const std::function<absl::Status()>& interrupted) {
  // Settling mostly takes microseconds, and seconds at the first use of a
  // connection.
  constexpr int kSpins = 200;
  for (int spin = 0;; ++spin) {
    NcclResult state = kNcclSuccess;
    const NcclResult asked = library.comm_get_async_error(comm, &state);
    if (asked != kNcclSuccess) state = asked;
    if (state != kNcclInProgress) {
      return NcclStatus(library, state, comm, what);
    }
    RETURN_IF_ERROR(interrupted());
    if (SteadyClock::now() >= deadline) {
      return absl::DeadlineExceededError(what + ": not done");
    }
    if (spin < kSpins) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
}

bool AbortNccl(const NcclLibrary& library, NcclComm comm,
               absl::Duration timeout) {
  std::promise<void> ended;
  std::future<void> end = ended.get_future();
  std::thread thread(
      [abort = library.comm_abort, comm, ended = std::move(ended)]() mutable {
        abort(comm);
        ended.set_value();
      });
  if (end.wait_for(absl::ToChronoNanoseconds(timeout)) ==
      std::future_status::ready) {
    thread.join();
    return true;
  }
  thread.detach();
  return false;
}

}  // namespace longspan::worker
