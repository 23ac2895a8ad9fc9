#include "worker/collective/nccl_transfer.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"
#include "worker/collective/all_reduce_plan.h"
#include "worker/collective/arguments.h"
#include "worker/collective/nccl_group.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

char* Bytes(const ConstTensorView& view) {
  return static_cast<char*>(const_cast<void*>(view.data()));
}

// Elements [begin, end) of a contiguous view, cut off at its end.
template <typename View>
View Piece(const View& view, int64_t begin, int64_t end) {
  const int64_t count = PayloadBytes(view) == 0 ? 0 : view.element_count();
  if (count == 0) return View();
  return view.Reshape({count}).Slice(0, std::min(begin, count),
                                     std::min(end, count));
}

bool EqualSizes(absl::Span<const TensorView> views) {
  for (const TensorView& view : views) {
    if (PayloadBytes(view) != PayloadBytes(views[0])) return false;
  }
  return true;
}

bool SideBySide(absl::Span<const TensorView> views) {
  for (size_t r = 1; r < views.size(); ++r) {
    if (Bytes(views[r]) != Bytes(views[r - 1]) + PayloadBytes(views[r - 1])) {
      return false;
    }
  }
  return true;
}

// Elements of a part such that those of the other ranks fit into the scratch.
int64_t PieceElements(kernels::DType dtype, int size) {
  return kNcclScratchBytes / BytesPerElement(dtype) / std::max(size - 1, 1);
}

}  // namespace

absl::Status NcclTransfer::Exchange(const Messages& sends,
                                    const Messages& receives) {
  const NcclLibrary& nccl = context_.communicator->library();
  const NcclStream stream = context_.stream->native_handle();
  return context_.communicator->Issue(operation_, [&](NcclComm comm) {
    NcclResult result = kNcclSuccess;
    const auto keep = [&](NcclResult next) {
      if (result == kNcclSuccess || result == kNcclInProgress) result = next;
    };
    for (const Message& m : receives) {
      if (m.bytes == 0) continue;
      keep(nccl.recv(m.data, m.bytes, kNcclUint8, m.peer, comm, stream));
    }
    for (const Message& m : sends) {
      if (m.bytes == 0) continue;
      keep(nccl.send(m.data, m.bytes, kNcclUint8, m.peer, comm, stream));
    }
    return result;
  });
}

absl::Status NcclTransfer::GatherRows(const void* send, char* receive,
                                      int64_t bytes) {
  const NcclLibrary& nccl = context_.communicator->library();
  const NcclStream stream = context_.stream->native_handle();
  return context_.communicator->Issue(operation_, [&](NcclComm comm) {
    return nccl.all_gather(send, receive, bytes, kNcclUint8, comm, stream);
  });
}

absl::Status NcclTransfer::Copy(const void* from, void* to, int64_t bytes) {
  if (from == to || bytes == 0) return absl::OkStatus();
  return context_.backend->memory().Copy(from, to, bytes, *context_.stream);
}

absl::Status NcclTransfer::AllGather(ConstTensorView send,
                                     absl::Span<const TensorView> receive) {
  if (!EqualSizes(receive)) return GatherUneven(send, receive);
  const int64_t bytes = PayloadBytes(send);
  if (bytes == 0) return absl::OkStatus();
  if (SideBySide(receive)) {
    return GatherRows(send.data(), Bytes(receive[0]), bytes);
  }
  ASSIGN_OR_RETURN(char* rows, context_.scratch->Take(context_.size * bytes));
  RETURN_IF_ERROR(GatherRows(send.data(), rows, bytes));
  for (int r = 0; r < context_.size; ++r) {
    RETURN_IF_ERROR(Copy(rows + r * bytes, receive[r].data(), bytes));
  }
  return absl::OkStatus();
}

absl::Status NcclTransfer::GatherUneven(ConstTensorView send,
                                        absl::Span<const TensorView> receive) {
  Messages sends, receives;
  for (int r = 0; r < context_.size; ++r) {
    if (r == context_.rank) continue;
    sends.push_back({r, Bytes(send), PayloadBytes(send)});
    receives.push_back({r, Bytes(receive[r]), PayloadBytes(receive[r])});
  }
  RETURN_IF_ERROR(Exchange(sends, receives));
  return Copy(send.data(), receive[context_.rank].data(), PayloadBytes(send));
}

absl::Status NcclTransfer::AllToAll(absl::Span<const ConstTensorView> send,
                                    absl::Span<const TensorView> receive) {
  Messages sends, receives;
  for (int r = 0; r < context_.size; ++r) {
    if (r == context_.rank) continue;
    sends.push_back({r, Bytes(send[r]), PayloadBytes(send[r])});
    receives.push_back({r, Bytes(receive[r]), PayloadBytes(receive[r])});
  }
  RETURN_IF_ERROR(Exchange(sends, receives));
  const ConstTensorView& own = send[context_.rank];
  return Copy(own.data(), receive[context_.rank].data(), PayloadBytes(own));
}

absl::Status NcclTransfer::SendReceive(ConstTensorView send, int to,
                                       TensorView receive, int from) {
  return Exchange({{to, Bytes(send), PayloadBytes(send)}},
                  {{from, Bytes(receive), PayloadBytes(receive)}});
}

absl::Status NcclTransfer::ReduceScatter(absl::Span<const ConstTensorView> send,
                                         TensorView receive) {
  int64_t longest = 0;
  for (const ConstTensorView& view : send) {
    if (PayloadBytes(view) == 0) continue;
    longest = std::max(longest, view.element_count());
  }
  const int64_t step = PieceElements(receive.dtype(), context_.size);
  for (int64_t begin = 0; begin < longest; begin += step) {
    std::vector<ConstTensorView> pieces;
    for (const ConstTensorView& view : send) {
      pieces.push_back(Piece(view, begin, begin + step));
    }
    RETURN_IF_ERROR(ReducePiece(pieces, Piece(receive, begin, begin + step)));
  }
  return absl::OkStatus();
}

absl::Status NcclTransfer::AllReduce(TensorView buffer) {
  const int64_t bytes = PayloadBytes(buffer);
  if (bytes == 0 || context_.size == 1) return absl::OkStatus();
  if (bytes <= kWholeAllReduceBytes) return AllReduceWhole(buffer);
  const int64_t step =
      PieceElements(buffer.dtype(), context_.size) * context_.size;
  for (int64_t begin = 0; begin < buffer.element_count(); begin += step) {
    RETURN_IF_ERROR(AllReduceSplit(Piece(buffer, begin, begin + step)));
  }
  return absl::OkStatus();
}

absl::Status NcclTransfer::AllReduceWhole(TensorView buffer) {
  const int64_t bytes = PayloadBytes(buffer);
  ASSIGN_OR_RETURN(char* rows, context_.scratch->Take(context_.size * bytes));
  RETURN_IF_ERROR(GatherRows(buffer.data(), rows, bytes));
  std::vector<TensorView> parts;
  for (int r = 0; r < context_.size; ++r) {
    parts.emplace_back(rows + r * bytes, buffer.dtype(),
                       std::initializer_list<int64_t>{buffer.element_count()});
  }
  return AddInRankOrder(parts, Piece(buffer, 0, buffer.element_count()));
}

absl::Status NcclTransfer::AllReduceSplit(TensorView piece) {
  std::vector<TensorView> parts;
  std::vector<ConstTensorView> send;
  for (int r = 0; r < context_.size; ++r) {
    const PartRange part = PartOfRank(piece.element_count(), r, context_.size);
    parts.push_back(piece.Slice(0, part.begin, part.end));
    send.push_back(parts.back());
  }
  RETURN_IF_ERROR(ReducePiece(send, parts[context_.rank]));
  return AllGather(parts[context_.rank], parts);
}

absl::Status NcclTransfer::ReducePiece(absl::Span<const ConstTensorView> send,
                                       TensorView to) {
  const ConstTensorView& own = send[context_.rank];
  const int64_t bytes = PayloadBytes(own);
  ASSIGN_OR_RETURN(char* row,
                   context_.scratch->Take((context_.size - 1) * bytes));
  Messages sends, receives;
  std::vector<TensorView> parts;
  for (int r = 0; r < context_.size; ++r) {
    if (r == context_.rank) {
      parts.emplace_back(
          Bytes(own), own.dtype(),
          std::initializer_list<int64_t>{bytes == 0 ? 0 : own.element_count()});
      continue;
    }
    sends.push_back({r, Bytes(send[r]), PayloadBytes(send[r])});
    receives.push_back({r, row, bytes});
    parts.emplace_back(
        row, to.dtype(),
        std::initializer_list<int64_t>{bytes == 0 ? 0 : own.element_count()});
    row += bytes;
  }
  RETURN_IF_ERROR(Exchange(sends, receives));
  if (bytes == 0) return absl::OkStatus();
  return AddInRankOrder(parts, to);
}

absl::Status NcclTransfer::AddInRankOrder(absl::Span<const TensorView> parts,
                                          TensorView to) {
  if (parts.size() == 1)
    return Copy(parts[0].data(), to.data(), to.byte_count());
  // Sums grow in scratch, so that the caller's part is whole until it is added.
  TensorView sum = parts[0];
  for (size_t r = 1; r < parts.size(); ++r) {
    const bool own_first = r == 1 && context_.rank == 0;
    const TensorView target = r + 1 == parts.size() ? to
                              : own_first           ? parts[r]
                                                    : sum;
    RETURN_IF_ERROR(context_.backend->elementwise().Add(sum, parts[r], target,
                                                        *context_.stream));
    sum = target;
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
