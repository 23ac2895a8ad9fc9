#include "worker/collective/gloo_group.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/collective/all_reduce_plan.h"
#include "worker/collective/arguments.h"
#include "worker/collective/failed_work.h"
#include "worker/collective/gloo_exchange.h"
#include "worker/collective/gloo_handshake.h"
#include "worker/collective/gloo_mesh.h"
#include "worker/collective/reduction.h"
#include "worker/collective/transfer_recorder.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;
using SteadyClock = std::chrono::steady_clock;

class GlooWork;

class GlooGroup : public ProcessGroup {
 public:
  GlooGroup(std::unique_ptr<GlooMesh> mesh, absl::Duration timeout)
      : mesh_(std::move(mesh)),
        timeout_(timeout),
        next_send_(mesh_->size(), kFirstFreeSlot),
        next_receive_(mesh_->size(), kFirstFreeSlot) {
    for (int step = 1; step < mesh_->size(); ++step) {
      peers_.push_back((mesh_->rank() + step) % mesh_->size());
    }
  }

  int rank() const override { return mesh_->rank(); }
  int size() const override { return mesh_->size(); }
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
  void Abort(absl::Status reason) override { mesh_->Break(std::move(reason)); }
  void SetTimeout(absl::Duration timeout) override { timeout_ = timeout; }
  TransferCounters counters() const override { return recorder_.Snapshot(); }

 private:
  friend class GlooWork;

  std::unique_ptr<GlooWork> NewWork(const char* name, int64_t bytes,
                                    const TrafficTag& tag);
  std::unique_ptr<Work> WholeAllReduce(std::unique_ptr<GlooWork> work,
                                       TensorView buffer, Reduction reduction);
  std::unique_ptr<Work> SplitAllReduce(std::unique_ptr<GlooWork> work,
                                       TensorView buffer, Reduction reduction);

  // Slots of the next message to or from a peer. Both ends count alike,
  // because all ranks issue the same calls in the same order.
  GlooSlot SendSlot(int peer) { return next_send_[peer]++; }
  GlooSlot ReceiveSlot(int peer) { return next_receive_[peer]++; }

  // Staging memory is kept and reused: fresh pages cost more than copying.
  std::vector<char> TakeScratch(int64_t bytes);
  void ReturnScratch(std::vector<char> scratch);

  const std::unique_ptr<GlooMesh> mesh_;
  // The others in the order of sending: no two ranks begin with the same one.
  std::vector<int> peers_;
  TransferRecorder recorder_;
  absl::Duration timeout_;
  std::vector<GlooSlot> next_send_;
  std::vector<GlooSlot> next_receive_;
  std::deque<GlooWork*> unfinished_;  // in the order they were issued
  std::vector<std::vector<char>> scratch_;
};

// One collective in flight: an exchange, then a step that uses what arrived
// and may start a second exchange.
class GlooWork : public Work {
 public:
  using Step = std::function<void()>;

  GlooWork(GlooGroup* group, std::string what, TrafficTag tag)
      : group_(group),
        what_(std::move(what)),
        tag_(tag),
        deadline_(SteadyClock::now() + absl::ToChronoNanoseconds(std::min(
                                           group->timeout_, absl::Hours(24)))) {
    group_->unfinished_.push_back(this);
    group_->recorder_.OnLaunch(tag_);
    NewExchange();
  }

  ~GlooWork() override { Wait().IgnoreError(); }

  GlooExchange* exchange() { return exchange_.get(); }
  void NewExchange() {
    exchange_ = std::make_unique<GlooExchange>(
        group_->mesh_.get(), what_, deadline_, group_->mesh_->lanes());
  }
  // Called when the exchange is complete; it may call NewExchange().
  void Then(Step step) { steps_.push_back(std::move(step)); }
  char* Scratch(int64_t bytes) {
    scratch_ = group_->TakeScratch(bytes);
    return scratch_.data();
  }

  absl::Status Wait() override;

 private:
  void WaitForExchange();
  void Advance();
  bool InLastExchange() const { return steps_.size() <= 1; }
  void Finish();

  GlooGroup* const group_;
  const std::string what_;
  const TrafficTag tag_;
  const SteadyClock::time_point deadline_;
  std::unique_ptr<GlooExchange> exchange_;
  std::deque<Step> steps_;
  std::vector<char> scratch_;
  absl::Status status_;
  bool finished_ = false;
};

void GlooWork::WaitForExchange() {
  const absl::Status waited = exchange_->Wait();
  group_->recorder_.OnSent(tag_, exchange_->bytes_sent());
  if (waited.ok()) {
    group_->recorder_.OnReceived(tag_, exchange_->bytes_received());
  } else {
    status_ = waited;
    steps_.clear();
  }
  exchange_.reset();
}

void GlooWork::Advance() {
  WaitForExchange();
  if (steps_.empty()) return;
  const Step step = std::move(steps_.front());
  steps_.pop_front();
  step();
}

// Second exchanges are started by whoever waits first, in the order of issue:
// peers that wait in another order would otherwise wait for each other.
absl::Status GlooWork::Wait() {
  if (finished_) return status_;
  const ExposedScope exposed(&group_->recorder_, tag_);
  for (GlooWork* work : group_->unfinished_) {
    if (work == this) break;
    while (!work->InLastExchange()) work->Advance();
  }
  while (exchange_ != nullptr) Advance();
  Finish();
  return status_;
}

void GlooWork::Finish() {
  finished_ = true;
  group_->ReturnScratch(std::move(scratch_));
  auto& unfinished = group_->unfinished_;
  unfinished.erase(std::find(unfinished.begin(), unfinished.end(), this));
}

std::unique_ptr<GlooWork> GlooGroup::NewWork(const char* name, int64_t bytes,
                                             const TrafficTag& tag) {
  return std::make_unique<GlooWork>(this, DescribeOperation(name, bytes, tag),
                                    tag);
}

std::vector<char> GlooGroup::TakeScratch(int64_t bytes) {
  std::vector<char> scratch;
  if (!scratch_.empty()) {
    scratch = std::move(scratch_.back());
    scratch_.pop_back();
  }
  if (static_cast<int64_t>(scratch.size()) < bytes) scratch.resize(bytes);
  return scratch;
}

void GlooGroup::ReturnScratch(std::vector<char> scratch) {
  if (!scratch.empty()) scratch_.push_back(std::move(scratch));
}

std::unique_ptr<Work> GlooGroup::AllGather(ConstTensorView send,
                                           absl::Span<const TensorView> receive,
                                           TrafficTag tag,
                                           kernels::Stream* after) {
  absl::Status checked = CheckAllGather(rank(), size(), send, receive);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  auto work = NewWork("AllGather", PayloadBytes(send), tag);
  GlooExchange* exchange = work->exchange();
  for (int r = 0; r < size(); ++r) {
    if (r == rank()) continue;
    exchange->Receive(r, ReceiveSlot(r), receive[r].data(),
                      PayloadBytes(receive[r]));
  }
  for (const int r : peers_) {
    exchange->Send(r, SendSlot(r), send.data(), PayloadBytes(send));
  }
  const TensorView& own = receive[rank()];
  if (own.data() != send.data() && PayloadBytes(send) > 0) {
    std::memcpy(own.data(), send.data(), PayloadBytes(send));
  }
  return work;
}

std::unique_ptr<Work> GlooGroup::AllToAll(
    absl::Span<const ConstTensorView> send,
    absl::Span<const TensorView> receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckAllToAll(rank(), size(), send, receive);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  auto work = NewWork("AllToAll", ForeignBytes(send, rank()), tag);
  GlooExchange* exchange = work->exchange();
  for (int r = 0; r < size(); ++r) {
    if (r == rank()) continue;
    exchange->Receive(r, ReceiveSlot(r), receive[r].data(),
                      PayloadBytes(receive[r]));
  }
  for (const int r : peers_) {
    exchange->Send(r, SendSlot(r), send[r].data(), PayloadBytes(send[r]));
  }
  const ConstTensorView& own = send[rank()];
  if (own.data() != receive[rank()].data() && PayloadBytes(own) > 0) {
    std::memcpy(receive[rank()].data(), own.data(), PayloadBytes(own));
  }
  return work;
}

std::unique_ptr<Work> GlooGroup::ReduceScatter(
    absl::Span<const ConstTensorView> send, TensorView receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckReduceScatter(rank(), size(), send, receive);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  auto work = NewWork("ReduceScatter", PayloadBytes(receive), tag);
  GlooExchange* exchange = work->exchange();
  const int64_t bytes = PayloadBytes(receive);
  char* scratch = work->Scratch((size() - 1) * bytes);
  std::vector<const void*> parts(size(), send[rank()].data());
  for (int r = 0; r < size(); ++r) {
    if (r == rank()) continue;
    exchange->Receive(r, ReceiveSlot(r), scratch, bytes);
    parts[r] = scratch;
    scratch += bytes;
  }
  for (const int r : peers_) {
    exchange->Send(r, SendSlot(r), send[r].data(), PayloadBytes(send[r]));
  }
  work->Then([parts, receive] {
    ReduceInRankOrder(parts, receive.data(), receive.dtype(),
                      receive.element_count(), Reduction::kSum);
  });
  return work;
}

std::unique_ptr<Work> GlooGroup::AllReduce(TensorView buffer,
                                           Reduction reduction, TrafficTag tag,
                                           kernels::Stream* after) {
  absl::Status checked = CheckAllReduce(buffer);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  auto work = NewWork("AllReduce", PayloadBytes(buffer), tag);
  return AllReducesWhole(PayloadBytes(buffer), size())
             ? WholeAllReduce(std::move(work), buffer, reduction)
             : SplitAllReduce(std::move(work), buffer, reduction);
}

std::unique_ptr<Work> GlooGroup::WholeAllReduce(std::unique_ptr<GlooWork> work,
                                                TensorView buffer,
                                                Reduction reduction) {
  const int64_t bytes = PayloadBytes(buffer);
  char* scratch = work->Scratch((size() - 1) * bytes);
  std::vector<const void*> parts(size(), buffer.data());
  for (int r = 0; r < size(); ++r) {
    if (r == rank()) continue;
    work->exchange()->Receive(r, ReceiveSlot(r), scratch, bytes);
    parts[r] = scratch;
    scratch += bytes;
  }
  for (const int r : peers_) {
    work->exchange()->Send(r, SendSlot(r), buffer.data(), bytes);
  }
  work->Then([parts, buffer, reduction] {
    ReduceInRankOrder(parts, buffer.data(), buffer.dtype(),
                      buffer.element_count(), reduction);
  });
  return work;
}

std::unique_ptr<Work> GlooGroup::SplitAllReduce(std::unique_ptr<GlooWork> work,
                                                TensorView buffer,
                                                Reduction reduction) {
  const int64_t element = BytesPerElement(buffer.dtype());
  const int64_t count = buffer.element_count();
  const PartRange own = PartOfRank(count, rank(), size());
  char* const data = static_cast<char*>(buffer.data());
  char* const own_data = data + own.begin * element;
  char* scratch = work->Scratch((size() - 1) * own.size() * element);
  std::vector<const void*> parts(size(), own_data);
  std::vector<GlooSlot> receive_slots(size()), send_slots(size());
  for (int r = 0; r < size(); ++r) {
    if (r == rank()) continue;
    work->exchange()->Receive(r, ReceiveSlot(r), scratch, own.size() * element);
    parts[r] = scratch;
    scratch += own.size() * element;
  }
  for (const int r : peers_) {
    const PartRange part = PartOfRank(count, r, size());
    work->exchange()->Send(r, SendSlot(r), data + part.begin * element,
                           part.size() * element);
    receive_slots[r] = ReceiveSlot(r);
    send_slots[r] = SendSlot(r);
  }
  work->Then([=, this, work = work.get(), dtype = buffer.dtype()] {
    ReduceInRankOrder(parts, own_data, dtype, own.size(), reduction);
    work->NewExchange();
    for (const int r : peers_) {
      const PartRange part = PartOfRank(count, r, size());
      work->exchange()->Receive(r, receive_slots[r],
                                data + part.begin * element,
                                part.size() * element);
      work->exchange()->Send(r, send_slots[r], own_data, own.size() * element);
    }
  });
  work->Then([] {});
  return work;
}

std::unique_ptr<Work> GlooGroup::SendReceive(ConstTensorView send, int to,
                                             TensorView receive, int from,
                                             TrafficTag tag,
                                             kernels::Stream* after) {
  absl::Status checked =
      CheckSendReceive(rank(), size(), send, to, receive, from);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  auto work =
      NewWork("SendReceive", PayloadBytes(send) + PayloadBytes(receive), tag);
  if (PayloadBytes(receive) > 0) {
    work->exchange()->Receive(from, ReceiveSlot(from), receive.data(),
                              PayloadBytes(receive));
  }
  if (PayloadBytes(send) > 0) {
    work->exchange()->Send(to, SendSlot(to), send.data(), PayloadBytes(send));
  }
  return work;
}

absl::Status CheckOptions(const GlooGroupOptions& options) {
  if (options.rank < 0 || options.rank >= options.size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rank ", options.rank, " is outside a group of ", options.size));
  }
  if (options.secret.empty()) {
    return absl::InvalidArgumentError(
        "a Gloo group needs the job's secret; it is empty");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessGroup>> CreateGlooGroup(
    const GlooGroupOptions& options, RendezvousStore& store) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(std::unique_ptr<GlooMesh> mesh,
                   GlooMesh::Connect(options, store));
  return std::make_unique<GlooGroup>(std::move(mesh),
                                     options.collective_timeout);
}

}  // namespace longspan::worker
