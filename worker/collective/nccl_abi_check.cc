// Compares nccl_abi.h with the nccl.h of the machine that builds. Compiled in
// CUDA builds only; it defines nothing.
#include <nccl.h>

#include <cstddef>
#include <type_traits>

#include "worker/collective/nccl_abi.h"

namespace longspan::worker {
namespace {

static_assert(sizeof(NcclUniqueId) == sizeof(ncclUniqueId));
static_assert(sizeof(NcclComm) == sizeof(ncclComm_t));
static_assert(sizeof(NcclStream) == sizeof(cudaStream_t));
static_assert(sizeof(NcclResult) == sizeof(ncclResult_t));
static_assert(sizeof(NcclDataType) == sizeof(ncclDataType_t));

static_assert(int{kNcclSuccess} == int{ncclSuccess});
static_assert(int{kNcclUnhandledCudaError} == int{ncclUnhandledCudaError});
static_assert(int{kNcclSystemError} == int{ncclSystemError});
static_assert(int{kNcclInternalError} == int{ncclInternalError});
static_assert(int{kNcclInvalidArgument} == int{ncclInvalidArgument});
static_assert(int{kNcclInvalidUsage} == int{ncclInvalidUsage});
static_assert(int{kNcclRemoteError} == int{ncclRemoteError});
static_assert(int{kNcclInProgress} == int{ncclInProgress});
static_assert(int{kNcclUint8} == int{ncclUint8});

static_assert(NCCL_VERSION_CODE >= kOldestNccl);
static_assert(NcclConfig().blocking == NCCL_CONFIG_UNDEF_INT);
// The last member may be followed by padding, which newer layouts use.
static_assert(sizeof(NcclConfig) <= sizeof(ncclConfig_t));
static_assert(offsetof(NcclConfig, size) == offsetof(ncclConfig_t, size));
static_assert(offsetof(NcclConfig, magic) == offsetof(ncclConfig_t, magic));
static_assert(offsetof(NcclConfig, version) == offsetof(ncclConfig_t, version));
static_assert(offsetof(NcclConfig, blocking) ==
              offsetof(ncclConfig_t, blocking));
static_assert(offsetof(NcclConfig, cluster_size) ==
              offsetof(ncclConfig_t, cgaClusterSize));
static_assert(offsetof(NcclConfig, min_blocks) ==
              offsetof(ncclConfig_t, minCTAs));
static_assert(offsetof(NcclConfig, max_blocks) ==
              offsetof(ncclConfig_t, maxCTAs));
static_assert(offsetof(NcclConfig, net_name) ==
              offsetof(ncclConfig_t, netName));
static_assert(offsetof(NcclConfig, split_share) ==
              offsetof(ncclConfig_t, splitShare));

// The signatures, up to names of types that are compared above.
template <typename T>
struct Plain {
  using Type = T;
};
template <typename T>
using PlainType = typename Plain<T>::Type;
template <>
struct Plain<ncclResult_t> {
  using Type = NcclResult;
};
template <>
struct Plain<ncclResult_t*> {
  using Type = NcclResult*;
};
template <>
struct Plain<ncclDataType_t> {
  using Type = NcclDataType;
};
template <>
struct Plain<ncclUniqueId> {
  using Type = NcclUniqueId;
};
template <>
struct Plain<ncclUniqueId*> {
  using Type = NcclUniqueId*;
};
template <>
struct Plain<ncclConfig_t*> {
  using Type = NcclConfig*;
};
template <>
struct Plain<ncclComm_t> {
  using Type = NcclComm;
};
template <>
struct Plain<ncclComm_t*> {
  using Type = NcclComm*;
};
template <>
struct Plain<cudaStream_t> {
  using Type = NcclStream;
};
template <typename R, typename... A>
struct Plain<R(A...)> {
  using Type = PlainType<R>(PlainType<A>...);
};

template <typename Theirs, typename Ours>
constexpr bool kSame = std::is_same_v<PlainType<Theirs>, Ours>;

static_assert(kSame<decltype(ncclGetVersion), NcclGetVersionFunction>);
static_assert(kSame<decltype(ncclGetUniqueId), NcclGetUniqueIdFunction>);
static_assert(
    kSame<decltype(ncclCommInitRankConfig), NcclCommInitRankConfigFunction>);
static_assert(
    kSame<decltype(ncclCommGetAsyncError), NcclCommGetAsyncErrorFunction>);
static_assert(kSame<decltype(ncclCommAbort), NcclCommFunction>);
static_assert(kSame<decltype(ncclCommFinalize), NcclCommFunction>);
static_assert(kSame<decltype(ncclCommDestroy), NcclCommFunction>);
static_assert(kSame<decltype(ncclAllGather), NcclAllGatherFunction>);
static_assert(kSame<decltype(ncclSend), NcclSendFunction>);
static_assert(kSame<decltype(ncclRecv), NcclRecvFunction>);
static_assert(kSame<decltype(ncclGroupStart), NcclGroupFunction>);
static_assert(kSame<decltype(ncclGroupEnd), NcclGroupFunction>);
static_assert(kSame<decltype(ncclGetErrorString), NcclGetErrorStringFunction>);
static_assert(kSame<decltype(ncclGetLastError), NcclGetLastErrorFunction>);

}  // namespace
}  // namespace longspan::worker
