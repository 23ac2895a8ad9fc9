// The NCCL of this machine, opened with dlopen on first use: a build needs no
// NCCL, and a program that runs CPU jobs needs none either.
//
// Where it is looked for: the file that LONGSPAN_NCCL_LIBRARY names, and only
// that if it is set; else libnccl.so.2 by the loader, in CUDA's toolkit and
// beside PyTorch (common/base/shared_library.h has the list).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "worker/collective/nccl_abi.h"

namespace longspan::worker {

// nccl_abi.h says what the functions are.
struct NcclLibrary {
  std::string path;
  int version = 0;  // 22809 is 2.28.9

  NcclGetUniqueIdFunction* get_unique_id = nullptr;
  NcclCommInitRankConfigFunction* comm_init_rank_config = nullptr;
  NcclCommGetAsyncErrorFunction* comm_get_async_error = nullptr;
  NcclCommFunction* comm_abort = nullptr;
  NcclCommFunction* comm_finalize = nullptr;
  NcclCommFunction* comm_destroy = nullptr;
  NcclAllGatherFunction* all_gather = nullptr;
  NcclSendFunction* send = nullptr;
  NcclRecvFunction* recv = nullptr;
  NcclGroupFunction* group_start = nullptr;
  NcclGroupFunction* group_end = nullptr;
  NcclGetErrorStringFunction* get_error_string = nullptr;
  NcclGetLastErrorFunction* get_last_error = nullptr;
};

// kUnavailable: no library, with the places that were tried, or one that is
// older than 2.18.
absl::StatusOr<NcclLibrary> OpenNccl();

// OpenNccl(), once per process: the library stays. A failure is tried again.
// Thread-safe.
absl::StatusOr<const NcclLibrary*> LoadNccl();

// "2.28.9"
std::string NcclVersionText(int version);

// kUnavailable for lost peers and networks, kInternal for the rest:
// "<what>: NCCL: <error>: <its last words>". `comm` may be null.
absl::Status NcclStatus(const NcclLibrary& library, NcclResult result,
                        NcclComm comm, const std::string& what);

}  // namespace longspan::worker
