#include "worker/collective/nccl_group.h"

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/collective/all_reduce_plan.h"
#include "worker/collective/arguments.h"
#include "worker/collective/device_scratch.h"
#include "worker/collective/failed_work.h"
#include "worker/collective/host_rows.h"
#include "worker/collective/nccl_communicator.h"
#include "worker/collective/nccl_transfer.h"
#include "worker/collective/nccl_work.h"
#include "worker/collective/reduction.h"
#include "worker/collective/transfer_recorder.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;

absl::Status RefuseHostMemory(const char* operation, kernels::Stream* after) {
  if (after != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(operation,
                   ": NCCL groups take host memory only for "
                   "AllGather and AllReduce; pass device memory "
                   "and its stream"));
}

// What the backend of a device adds.
absl::Status CheckDeviceSum(const char* operation,
                            const ConstTensorView& buffer,
                            Reduction reduction) {
  if (buffer.dtype() == DType::kF32 && reduction == Reduction::kSum) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      operation, ": ", buffer.DebugString(),
      " in device memory; sums of f32 only, other types and maxima in host "
      "memory by AllReduce"));
}

class NcclGroup : public ProcessGroup {
 public:
  NcclGroup(const NcclGroupOptions& options,
            std::unique_ptr<kernels::Stream> stream,
            std::unique_ptr<kernels::Stream> host_stream,
            std::unique_ptr<NcclCommunicator> communicator)
      : options_(options),
        timeout_(options.collective_timeout),
        stream_(std::move(stream)),
        host_stream_(std::move(host_stream)),
        scratch_(std::make_unique<DeviceScratch>(&options_.backend->memory(),
                                                 stream_.get())),
        host_rows_(&options_.backend->memory(), host_stream_.get()),
        communicator_(std::move(communicator)) {}
  ~NcclGroup() override;

  int rank() const override { return options_.rank; }
  int size() const override { return options_.size; }
  std::unique_ptr<Work> AllGather(ConstTensorView send,
                                  absl::Span<const TensorView> receive,
                                  TrafficTag tag,
                                  kernels::Stream* after) override;
  std::unique_ptr<Work> AllToAll(absl::Span<const ConstTensorView> send,
                                 absl::Span<const TensorView> receive,
                                 TrafficTag tag,
                                 kernels::Stream* after) override;
  std::unique_ptr<Work> ReduceScatter(absl::Span<const ConstTensorView> send,
                                      TensorView receive, TrafficTag tag,
                                      kernels::Stream* after) override;
  std::unique_ptr<Work> AllReduce(TensorView buffer, Reduction reduction,
                                  TrafficTag tag,
                                  kernels::Stream* after) override;
  std::unique_ptr<Work> SendReceive(ConstTensorView send, int to,
                                    TensorView receive, int from,
                                    TrafficTag tag,
                                    kernels::Stream* after) override;
  void Abort(absl::Status reason) override {
    communicator_->Break(std::move(reason));
  }
  void SetTimeout(absl::Duration timeout) override { timeout_ = timeout; }
  TransferCounters counters() const override { return recorder_.Snapshot(); }

 private:
  using Body = std::function<absl::Status(NcclTransfer&)>;

  NcclOperation Describe(const char* name, int64_t bytes,
                         const TrafficTag& tag) const;
  void Count(const TrafficTag& tag, int64_t sent, int64_t received);
  // Runs `body` after what `after` was given; null: at once.
  absl::StatusOr<std::shared_ptr<const kernels::Event>> Start(
      const NcclOperation& operation, kernels::Stream* after, const Body& body);
  std::unique_ptr<Work> Launch(const NcclOperation& operation, TrafficTag tag,
                               kernels::Stream* after, const Body& body);
  // An AllGather of host memory, with rows of the given sizes.
  std::unique_ptr<Work> GatherOnHost(const NcclOperation& operation,
                                     TrafficTag tag, ConstTensorView send,
                                     const std::vector<int64_t>& row_bytes,
                                     HostRows::Use use);

  const NcclGroupOptions options_;
  absl::Duration timeout_;
  TransferRecorder recorder_;
  std::unique_ptr<kernels::Stream> stream_;       // of the collectives
  std::unique_ptr<kernels::Stream> host_stream_;  // of copies to the host
  std::unique_ptr<DeviceScratch> scratch_;
  HostRowsPool host_rows_;
  std::unique_ptr<NcclCommunicator> communicator_;
};

NcclGroup::~NcclGroup() {
  if (communicator_->Close()) return;
  // The device may still write here; the process is about to be killed.
  (void)scratch_.release();
  host_rows_.Leak();
  (void)stream_.release();
  (void)host_stream_.release();
}

NcclOperation NcclGroup::Describe(const char* name, int64_t bytes,
                                  const TrafficTag& tag) const {
  return {
      absl::StrCat("rank ", rank(), ": ", DescribeOperation(name, bytes, tag)),
      NcclDeadline(timeout_)};
}

void NcclGroup::Count(const TrafficTag& tag, int64_t sent, int64_t received) {
  recorder_.OnLaunch(tag);
  recorder_.OnSent(tag, sent);
  recorder_.OnReceived(tag, received);
}

absl::StatusOr<std::shared_ptr<const kernels::Event>> NcclGroup::Start(
    const NcclOperation& operation, kernels::Stream* after, const Body& body) {
  RETURN_IF_ERROR(communicator_->health());
  if (after != nullptr) RETURN_IF_ERROR(stream_->WaitFor(*after));
  NcclTransfer transfer({.rank = rank(),
                         .size = size(),
                         .communicator = communicator_.get(),
                         .backend = options_.backend,
                         .stream = stream_.get(),
                         .scratch = scratch_.get()},
                        operation);
  RETURN_IF_ERROR(body(transfer));
  ASSIGN_OR_RETURN(std::shared_ptr<const kernels::Event> finished,
                   stream_->Record());
  communicator_->Watch(operation, finished);
  return finished;
}

std::unique_ptr<Work> NcclGroup::Launch(const NcclOperation& operation,
                                        TrafficTag tag, kernels::Stream* after,
                                        const Body& body) {
  auto finished = Start(operation, after, body);
  if (!finished.ok()) return Failed(finished.status());
  return std::make_unique<NcclWork>(communicator_.get(), &recorder_, tag,
                                    *std::move(finished), after, nullptr);
}

std::unique_ptr<Work> NcclGroup::AllGather(ConstTensorView send,
                                           absl::Span<const TensorView> receive,
                                           TrafficTag tag,
                                           kernels::Stream* after) {
  const absl::Status checked = CheckAllGather(rank(), size(), send, receive);
  if (!checked.ok()) return Failed(checked);
  const int64_t own = PayloadBytes(send);
  std::vector<int64_t> sizes;
  int64_t total = 0;
  for (const TensorView& view : receive) {
    total += sizes.emplace_back(PayloadBytes(view));
  }
  Count(tag, (size() - 1) * own, total - own);
  const NcclOperation operation = Describe("AllGather", own, tag);
  if (after != nullptr) {
    return Launch(operation, tag, after, [&](NcclTransfer& transfer) {
      return transfer.AllGather(send, receive);
    });
  }
  const std::vector<TensorView> to(receive.begin(), receive.end());
  return GatherOnHost(operation, tag, send, sizes, [to](const char* row) {
    for (const TensorView& view : to) {
      if (PayloadBytes(view) == 0) continue;
      std::memcpy(view.data(), row, PayloadBytes(view));
      row += PayloadBytes(view);
    }
  });
}

std::unique_ptr<Work> NcclGroup::AllToAll(
    absl::Span<const ConstTensorView> send,
    absl::Span<const TensorView> receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckAllToAll(rank(), size(), send, receive);
  if (checked.ok()) checked = RefuseHostMemory("AllToAll", after);
  if (!checked.ok()) return Failed(checked);
  const int64_t sent = ForeignBytes(send, rank());
  Count(tag, sent, ForeignBytes(receive, rank()));
  return Launch(
      Describe("AllToAll", sent, tag), tag, after,
      [&](NcclTransfer& transfer) { return transfer.AllToAll(send, receive); });
}

std::unique_ptr<Work> NcclGroup::ReduceScatter(
    absl::Span<const ConstTensorView> send, TensorView receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckReduceScatter(rank(), size(), send, receive);
  if (checked.ok()) checked = RefuseHostMemory("ReduceScatter", after);
  if (checked.ok()) {
    checked = CheckDeviceSum("ReduceScatter", receive, Reduction::kSum);
  }
  if (!checked.ok()) return Failed(checked);
  const int64_t own = PayloadBytes(receive);
  int64_t sent = -own;
  for (const ConstTensorView& view : send) sent += PayloadBytes(view);
  Count(tag, sent, (size() - 1) * own);
  return Launch(Describe("ReduceScatter", own, tag), tag, after,
                [&](NcclTransfer& transfer) {
                  return transfer.ReduceScatter(send, receive);
                });
}

std::unique_ptr<Work> NcclGroup::AllReduce(TensorView buffer,
                                           Reduction reduction, TrafficTag tag,
                                           kernels::Stream* after) {
  absl::Status checked = CheckAllReduce(buffer);
  if (checked.ok() && after != nullptr) {
    checked = CheckDeviceSum("AllReduce", buffer, reduction);
  }
  if (!checked.ok()) return Failed(checked);
  const int64_t own = PayloadBytes(buffer);
  const NcclOperation operation = Describe("AllReduce", own, tag);
  if (after != nullptr) {
    const int64_t moved =
        AllReduceBytesSent(buffer.element_count(),
                           BytesPerElement(buffer.dtype()), rank(), size());
    Count(tag, moved, moved);
    return Launch(operation, tag, after, [&](NcclTransfer& transfer) {
      return transfer.AllReduce(buffer);
    });
  }
  Count(tag, (size() - 1) * own, (size() - 1) * own);
  return GatherOnHost(
      operation, tag, buffer, std::vector<int64_t>(size(), own),
      [buffer, reduction, own, ranks = size()](const char* rows) {
        std::vector<const void*> parts;
        for (int r = 0; r < ranks; ++r) parts.push_back(rows + r * own);
        ReduceInRankOrder(parts, buffer.data(), buffer.dtype(),
                          buffer.element_count(), reduction);
      });
}

std::unique_ptr<Work> NcclGroup::SendReceive(ConstTensorView send, int to,
                                             TensorView receive, int from,
                                             TrafficTag tag,
                                             kernels::Stream* after) {
  absl::Status checked =
      CheckSendReceive(rank(), size(), send, to, receive, from);
  if (checked.ok()) checked = RefuseHostMemory("SendReceive", after);
  if (!checked.ok()) return Failed(checked);
  const int64_t sent = PayloadBytes(send);
  const int64_t received = PayloadBytes(receive);
  Count(tag, sent, received);
  return Launch(Describe("SendReceive", sent + received, tag), tag, after,
                [&](NcclTransfer& transfer) {
                  return transfer.SendReceive(send, to, receive, from);
                });
}

std::unique_ptr<Work> NcclGroup::GatherOnHost(
    const NcclOperation& operation, TrafficTag tag, ConstTensorView send,
    const std::vector<int64_t>& row_bytes, HostRows::Use use) {
  const std::shared_ptr<HostRows> rows = host_rows_.Lend();
  const absl::Status uploaded = rows->Upload(row_bytes, rank(), send.data());
  if (!uploaded.ok()) return Failed(uploaded);
  auto finished = Start(operation, nullptr, [&](NcclTransfer& transfer) {
    return transfer.AllGather(rows->rows()[rank()], rows->rows());
  });
  if (!finished.ok()) return Failed(finished.status());
  const auto deliver = [rows, use = std::move(use)] {
    return rows->Download(use);
  };
  return std::make_unique<NcclWork>(communicator_.get(), &recorder_, tag,
                                    *std::move(finished), nullptr, deliver);
}

absl::Status CheckOptions(const NcclGroupOptions& options) {
  if (options.rank < 0 || options.rank >= options.size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rank ", options.rank, " is outside a group of ", options.size));
  }
  LONGSPAN_CHECK(options.backend != nullptr) << "an NCCL group needs a backend";
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessGroup>> CreateNcclGroup(
    const NcclGroupOptions& options, RendezvousStore& store) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(const NcclLibrary* library, LoadNccl());
  // The streams come first: making one selects the device for this thread.
  ASSIGN_OR_RETURN(auto stream, options.backend->CreateStream(1));
  ASSIGN_OR_RETURN(auto host_stream, options.backend->CreateStream(1));
  ASSIGN_OR_RETURN(const NcclComm comm, ConnectNccl(*library, options, store));
  return std::make_unique<NcclGroup>(
      options, std::move(stream), std::move(host_stream),
      std::make_unique<NcclCommunicator>(*library, comm));
}

}  // namespace longspan::worker
