// The part of NCCL's binary interface that we call, declared by ourselves, so
// that neither nccl.h nor a CUDA header is needed to build. NCCL keeps these
// signatures and values stable since 2.18; nccl_abi_check.cc, which CUDA builds
// compile, compares them with the nccl.h that is installed there.
#pragma once

#include <climits>
#include <cstddef>

namespace longspan::worker {

struct NcclUniqueId {
  char bytes[128];
};

using NcclComm = void*;    // ncclComm_t
using NcclStream = void*;  // cudaStream_t

enum NcclResult : int {
  kNcclSuccess = 0,
  kNcclUnhandledCudaError = 1,
  kNcclSystemError = 2,
  kNcclInternalError = 3,
  kNcclInvalidArgument = 4,
  kNcclInvalidUsage = 5,
  kNcclRemoteError = 6,
  kNcclInProgress = 7,
};

enum NcclDataType : int { kNcclUint8 = 1 };

// ncclConfig_t as of 2.18. NCCL reads `size` bytes and fills in what came
// later according to `version`, so an older layout serves every newer library.
struct NcclConfig {
  size_t size = sizeof(NcclConfig);
  unsigned int magic = 0xcafebeef;
  unsigned int version = 21800;
  int blocking = INT_MIN;
  int cluster_size = INT_MIN;
  int min_blocks = INT_MIN;
  int max_blocks = INT_MIN;
  const char* net_name = nullptr;
  int split_share = INT_MIN;
};

inline constexpr int kOldestNccl = 21800;  // 2.18.0

extern "C" {
using NcclGetVersionFunction = NcclResult(int* version);
using NcclGetUniqueIdFunction = NcclResult(NcclUniqueId* id);
using NcclCommInitRankConfigFunction = NcclResult(NcclComm* comm, int ranks,
                                                  NcclUniqueId id, int rank,
                                                  NcclConfig* config);
using NcclCommGetAsyncErrorFunction = NcclResult(NcclComm comm,
                                                 NcclResult* error);
using NcclCommFunction = NcclResult(NcclComm comm);  // Abort, Finalize, Destroy
using NcclAllGatherFunction = NcclResult(const void* send, void* receive,
                                         size_t count, NcclDataType type,
                                         NcclComm comm, NcclStream stream);
using NcclSendFunction = NcclResult(const void* send, size_t count,
                                    NcclDataType type, int peer, NcclComm comm,
                                    NcclStream stream);
using NcclRecvFunction = NcclResult(void* receive, size_t count,
                                    NcclDataType type, int peer, NcclComm comm,
                                    NcclStream stream);
using NcclGroupFunction = NcclResult();
using NcclGetErrorStringFunction = const char*(NcclResult result);
using NcclGetLastErrorFunction = const char*(NcclComm comm);
}

}  // namespace longspan::worker
