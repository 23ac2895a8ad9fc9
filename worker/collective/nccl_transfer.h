// The collectives of nccl_group in device memory, each as transfers, copies and
// additions on the group's stream. Internal to nccl_group.
//
// Which transfers a collective is made of depends only on what all ranks know
// alike: sizes and rank numbers, never on addresses.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/api/backend.h"
#include "kernels/api/tensor_view.h"
#include "worker/collective/device_scratch.h"
#include "worker/collective/nccl_communicator.h"

namespace longspan::worker {

class NcclTransfer {
 public:
  // What a transfer works with; all of it is the group's.
  struct Context {
    int rank = 0;
    int size = 1;
    NcclCommunicator* communicator = nullptr;
    kernels::Backend* backend = nullptr;
    kernels::Stream* stream = nullptr;
    DeviceScratch* scratch = nullptr;
  };

  NcclTransfer(const Context& context, NcclOperation operation)
      : context_(context), operation_(std::move(operation)) {}

  const NcclOperation& operation() const { return operation_; }

  absl::Status AllGather(kernels::ConstTensorView send,
                         absl::Span<const kernels::TensorView> receive);
  absl::Status AllToAll(absl::Span<const kernels::ConstTensorView> send,
                        absl::Span<const kernels::TensorView> receive);
  absl::Status ReduceScatter(absl::Span<const kernels::ConstTensorView> send,
                             kernels::TensorView receive);
  // The sum of f32 or f64.
  absl::Status AllReduce(kernels::TensorView buffer);
  absl::Status SendReceive(kernels::ConstTensorView send, int to,
                           kernels::TensorView receive, int from);

 private:
  struct Message {
    int peer = 0;
    char* data = nullptr;
    int64_t bytes = 0;
  };
  using Messages = std::vector<Message>;

  // Messages without bytes are left out.
  absl::Status Exchange(const Messages& sends, const Messages& receives);
  // `bytes` of every rank, rank r's at receive + r * bytes.
  absl::Status GatherRows(const void* send, char* receive, int64_t bytes);
  absl::Status GatherUneven(kernels::ConstTensorView send,
                            absl::Span<const kernels::TensorView> receive);
  absl::Status Copy(const void* from, void* to, int64_t bytes);

  absl::Status AllReduceWhole(kernels::TensorView buffer);
  absl::Status AllReduceSplit(kernels::TensorView piece);

  // to = sum over r, in rank order, of r's send[rank()]; `count` elements of
  // send[r] go to rank r. One piece: its parts fit into the scratch.
  absl::Status ReducePiece(absl::Span<const kernels::ConstTensorView> send,
                           kernels::TensorView to);
  // parts[rank()] is the caller's, the others are scratch. `to` may be
  // parts[rank()].
  absl::Status AddInRankOrder(absl::Span<const kernels::TensorView> parts,
                              kernels::TensorView to);

  const Context context_;
  const NcclOperation operation_;
};

}  // namespace longspan::worker
