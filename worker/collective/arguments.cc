#include "worker/collective/arguments.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;

absl::Status CheckContiguous(const char* operation, const char* operand,
                             const ConstTensorView& view) {
  if (view.is_contiguous()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(operation, ": ", operand, " ", view.DebugString(),
                   " is strided; pass a contiguous view"));
}

absl::Status CheckCount(const char* operation, const char* operand,
                        size_t count, int size) {
  if (count == static_cast<size_t>(size)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(operation, ": ", count, " ", operand,
                   " views for a group of ", size, "; pass one per rank"));
}

absl::Status CheckSameBytes(const char* operation, const ConstTensorView& a,
                            const ConstTensorView& b) {
  if (PayloadBytes(a) == PayloadBytes(b)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(operation, ": own part is ", a.DebugString(),
                   " but its place is ", b.DebugString()));
}

absl::Status CheckPeer(const char* side, int peer, int rank, int size) {
  if (peer >= 0 && peer < size && peer != rank) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("SendReceive: ", side, " rank ", peer,
                   " must be another rank of [0, ", size, ")"));
}

const char* TrafficName(Traffic traffic) {
  switch (traffic) {
    case Traffic::kStateExchange:
      return "state_exchange";
    case Traffic::kHeadExchange:
      return "head_exchange";
    case Traffic::kRowExchange:
      return "row_exchange";
    case Traffic::kKvExchange:
      return "kv_exchange";
    case Traffic::kConvolutionHalo:
      return "convolution_halo";
    case Traffic::kGradientSync:
      return "gradient_sync";
    case Traffic::kControl:
      return "control";
  }
  return "unknown";
}

}  // namespace

int64_t PayloadBytes(const ConstTensorView& view) {
  // A default view has rank 0, whose element count would be one.
  if (view.rank() == 0 && view.is_null()) return 0;
  return view.byte_count();
}

absl::Status CheckAllGather(int rank, int size, ConstTensorView send,
                            absl::Span<const TensorView> receive) {
  constexpr char kName[] = "AllGather";
  RETURN_IF_ERROR(CheckCount(kName, "receive", receive.size(), size));
  RETURN_IF_ERROR(CheckContiguous(kName, "send", send));
  for (const TensorView& view : receive) {
    RETURN_IF_ERROR(CheckContiguous(kName, "receive", view));
  }
  return CheckSameBytes(kName, send, receive[rank]);
}

absl::Status CheckAllToAll(int rank, int size,
                           absl::Span<const ConstTensorView> send,
                           absl::Span<const TensorView> receive) {
  constexpr char kName[] = "AllToAll";
  RETURN_IF_ERROR(CheckCount(kName, "send", send.size(), size));
  RETURN_IF_ERROR(CheckCount(kName, "receive", receive.size(), size));
  for (int r = 0; r < size; ++r) {
    RETURN_IF_ERROR(CheckContiguous(kName, "send", send[r]));
    RETURN_IF_ERROR(CheckContiguous(kName, "receive", receive[r]));
  }
  return CheckSameBytes(kName, send[rank], receive[rank]);
}

absl::Status CheckReduceScatter(int rank, int size,
                                absl::Span<const ConstTensorView> send,
                                TensorView receive) {
  constexpr char kName[] = "ReduceScatter";
  RETURN_IF_ERROR(CheckCount(kName, "send", send.size(), size));
  RETURN_IF_ERROR(CheckContiguous(kName, "receive", receive));
  for (const ConstTensorView& view : send) {
    RETURN_IF_ERROR(CheckContiguous(kName, "send", view));
    if (view.dtype() != receive.dtype() ||
        (view.dtype() != DType::kF32 && view.dtype() != DType::kF64)) {
      return absl::InvalidArgumentError(
          absl::StrCat("ReduceScatter: ", view.DebugString(), " into ",
                       receive.DebugString(), "; pass f32 or f64 throughout"));
    }
  }
  return CheckSameBytes(kName, send[rank], receive);
}

absl::Status CheckAllReduce(TensorView buffer) {
  const DType dtype = buffer.dtype();
  if (dtype != DType::kF32 && dtype != DType::kF64 && dtype != DType::kI64) {
    return absl::InvalidArgumentError(absl::StrCat(
        "AllReduce: ", buffer.DebugString(), "; pass f32, f64 or i64"));
  }
  return CheckContiguous("AllReduce", "buffer", buffer);
}

absl::Status CheckSendReceive(int rank, int size, ConstTensorView send, int to,
                              TensorView receive, int from) {
  constexpr char kName[] = "SendReceive";
  if (!send.is_null()) {
    RETURN_IF_ERROR(CheckContiguous(kName, "send", send));
    RETURN_IF_ERROR(CheckPeer("destination", to, rank, size));
  }
  if (!receive.is_null()) {
    RETURN_IF_ERROR(CheckContiguous(kName, "receive", receive));
    RETURN_IF_ERROR(CheckPeer("source", from, rank, size));
  }
  return absl::OkStatus();
}

absl::Status FinishOnHost(kernels::Stream* after) {
  if (after == nullptr) return absl::OkStatus();
  if (after->native_handle() != nullptr) {
    return absl::InvalidArgumentError(
        "a group of CPU ranks was given device memory; ranks on CUDA devices "
        "exchange over NCCL");
  }
  return after->Synchronize();
}

std::string DescribeOperation(const char* operation, int64_t bytes,
                              const TrafficTag& tag) {
  std::string text = absl::StrCat(operation, " of ", bytes, " bytes for ",
                                  TrafficName(tag.traffic));
  if (tag.direction == Direction::kForward) text += " forward";
  if (tag.direction == Direction::kBackward) text += " backward";
  if (tag.layer >= 0) absl::StrAppend(&text, ", layer ", tag.layer);
  return text;
}

}  // namespace longspan::worker
