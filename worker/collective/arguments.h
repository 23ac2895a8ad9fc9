// The checks that every kind of group makes before it moves a byte. Errors are
// kInvalidArgument and name the operation, the sizes and the fix.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "worker/collective/process_group.h"

namespace longspan::worker {

absl::Status CheckAllGather(int rank, int size, kernels::ConstTensorView send,
                            absl::Span<const kernels::TensorView> receive);
absl::Status CheckAllToAll(int rank, int size,
                           absl::Span<const kernels::ConstTensorView> send,
                           absl::Span<const kernels::TensorView> receive);
absl::Status CheckReduceScatter(int rank, int size,
                                absl::Span<const kernels::ConstTensorView> send,
                                kernels::TensorView receive);
absl::Status CheckAllReduce(kernels::TensorView buffer);
absl::Status CheckSendReceive(int rank, int size, kernels::ConstTensorView send,
                              int to, kernels::TensorView receive, int from);

// Groups of CPU ranks read and write operands themselves: what `after` (may be
// null) was given must have finished. kInvalidArgument for a device's stream.
absl::Status FinishOnHost(kernels::Stream* after);

// "AllGather of 64 bytes for state_exchange forward, layer 3".
std::string DescribeOperation(const char* operation, int64_t bytes,
                              const TrafficTag& tag);

// Bytes of a view; an absent one (null, no elements) has none.
int64_t PayloadBytes(const kernels::ConstTensorView& view);

// Bytes of one view per rank, less this rank's own: what goes to the others or
// comes from them.
template <typename View>
int64_t ForeignBytes(absl::Span<const View> views, int rank) {
  int64_t bytes = -PayloadBytes(views[rank]);
  for (const View& view : views) bytes += PayloadBytes(view);
  return bytes;
}

}  // namespace longspan::worker
