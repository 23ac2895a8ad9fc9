// The exported functions of the fake NCCL.
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tests/support/fake_nccl/fake_comm.h"
#include "tests/support/fake_nccl/fake_segment.h"
#include "worker/collective/nccl_abi.h"

namespace longspan::fake_nccl {
namespace {

using worker::NcclComm;
using worker::NcclConfig;
using worker::NcclDataType;
using worker::NcclResult;
using worker::NcclStream;
using worker::NcclUniqueId;

// A handle is a pointer to the shared pointer: operations in streams keep the
// communicator alive after its handle is gone.
using Handle = std::shared_ptr<Comm>;

Comm& CommOf(NcclComm handle) { return **static_cast<Handle*>(handle); }

thread_local int group_depth = 0;
thread_local std::map<Comm*, Operation> group;

NcclResult EndGroup() {
  if (group_depth == 0) return worker::kNcclInvalidUsage;
  if (--group_depth > 0) return worker::kNcclSuccess;
  const std::map<Comm*, Operation> calls = std::exchange(group, {});
  for (const auto& [comm, operation] : calls) comm->Launch(operation);
  return calls.empty() ? worker::kNcclSuccess : worker::kNcclInProgress;
}

// Adds messages to the group's operation, or runs them as their own group.
NcclResult Add(NcclComm handle, NcclStream stream,
               const std::vector<Message>& sends,
               const std::vector<Message>& receives) {
  ++group_depth;
  Operation& operation = group[&CommOf(handle)];
  operation.stream = stream;
  operation.sends.insert(operation.sends.end(), sends.begin(), sends.end());
  operation.receives.insert(operation.receives.end(), receives.begin(),
                            receives.end());
  return EndGroup();
}

char* Bytes(const void* data) {
  return static_cast<char*>(const_cast<void*>(data));
}

}  // namespace
}  // namespace longspan::fake_nccl

using longspan::fake_nccl::Add;
using longspan::fake_nccl::Bytes;
using longspan::fake_nccl::Comm;
using longspan::fake_nccl::CommOf;
using longspan::fake_nccl::Handle;
using longspan::fake_nccl::Message;
using namespace longspan::worker;  // NOLINT: the names of the interface

extern "C" {

NcclResult ncclGetVersion(int* version) {
  *version = 22809;
  return kNcclSuccess;
}

NcclResult ncclGetUniqueId(NcclUniqueId* id) {
  return longspan::fake_nccl::MakeId(id) ? kNcclSuccess : kNcclSystemError;
}

NcclResult ncclCommInitRankConfig(NcclComm* comm, int ranks, NcclUniqueId id,
                                  int rank, NcclConfig* config) {
  if (config->magic != 0xcafebeef || config->size != sizeof(NcclConfig) ||
      config->blocking != 0 || ranks > longspan::fake_nccl::kMaxRanks) {
    return kNcclInvalidArgument;
  }
  auto segment = longspan::fake_nccl::OpenSegment(id);
  if (segment == nullptr) return kNcclSystemError;
  *comm = new Handle(std::make_shared<Comm>(std::move(segment), rank, ranks));
  return kNcclInProgress;
}

NcclResult ncclCommGetAsyncError(NcclComm comm, NcclResult* error) {
  *error = CommOf(comm).State();
  return kNcclSuccess;
}

NcclResult ncclCommAbort(NcclComm comm) {
  CommOf(comm).Abort();
  delete static_cast<Handle*>(comm);
  return kNcclSuccess;
}

NcclResult ncclCommFinalize(NcclComm comm) {
  CommOf(comm).Finalize();
  return kNcclInProgress;
}

NcclResult ncclCommDestroy(NcclComm comm) {
  CommOf(comm).Abort();  // nothing runs any more
  delete static_cast<Handle*>(comm);
  return kNcclSuccess;
}

NcclResult ncclAllGather(const void* send, void* receive, size_t count,
                         NcclDataType, NcclComm comm, NcclStream stream) {
  std::vector<Message> sends, receives;
  const int64_t bytes = static_cast<int64_t>(count);
  for (int r = 0; r < CommOf(comm).ranks(); ++r) {
    char* const row = Bytes(receive) + r * bytes;
    // In place: the own row is already there.
    if (r == CommOf(comm).rank() && row == send) continue;
    sends.push_back({.peer = r, .data = Bytes(send), .bytes = bytes});
    receives.push_back({.peer = r, .data = row, .bytes = bytes});
  }
  return Add(comm, stream, sends, receives);
}

NcclResult ncclSend(const void* send, size_t count, NcclDataType, int peer,
                    NcclComm comm, NcclStream stream) {
  const int64_t bytes = static_cast<int64_t>(count);
  return Add(comm, stream,
             {{.peer = peer, .data = Bytes(send), .bytes = bytes}}, {});
}

NcclResult ncclRecv(void* receive, size_t count, NcclDataType, int peer,
                    NcclComm comm, NcclStream stream) {
  const int64_t bytes = static_cast<int64_t>(count);
  return Add(comm, stream, {},
             {{.peer = peer, .data = Bytes(receive), .bytes = bytes}});
}

NcclResult ncclGroupStart() {
  ++longspan::fake_nccl::group_depth;
  return kNcclSuccess;
}

NcclResult ncclGroupEnd() { return longspan::fake_nccl::EndGroup(); }

const char* ncclGetErrorString(NcclResult result) {
  switch (result) {
    case kNcclSuccess:
      return "no error";
    case kNcclUnhandledCudaError:
      return "unhandled cuda error";
    case kNcclSystemError:
      return "unhandled system error";
    case kNcclInternalError:
      return "internal error";
    case kNcclInvalidArgument:
      return "invalid argument";
    case kNcclInvalidUsage:
      return "invalid usage";
    case kNcclRemoteError:
      return "remote process exited or there was a network error";
    case kNcclInProgress:
      return "NCCL operation in progress";
  }
  return "unknown result code";
}

const char* ncclGetLastError(NcclComm) {
  return longspan::fake_nccl::LastWords();
}
}
