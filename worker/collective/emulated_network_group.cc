#include "worker/collective/emulated_network_group.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/collective/all_reduce_plan.h"
#include "worker/collective/arguments.h"
#include "worker/collective/failed_work.h"
#include "worker/collective/transfer_recorder.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;

// The times of arrival travel under a tag of their own.
constexpr TrafficTag kStampTag = {Traffic::kControl, Direction::kNone, -2};
constexpr int64_t kNoMessage = std::numeric_limits<int64_t>::min();

int64_t Stamp(absl::Duration time) { return absl::ToInt64Nanoseconds(time); }
absl::Duration TimeOf(int64_t stamp) { return absl::Nanoseconds(stamp); }

// By rank.
std::vector<int64_t> BytesOf(absl::Span<const ConstTensorView> parts) {
  std::vector<int64_t> bytes;
  for (const ConstTensorView& part : parts) {
    bytes.push_back(PayloadBytes(part));
  }
  return bytes;
}

class EmulatedWork;

class EmulatedNetworkGroup : public ProcessGroup {
 public:
  EmulatedNetworkGroup(const EmulatedNetwork& network, ProcessGroup* inner,
                       RankClock* clock)
      : network_(network), inner_(inner), clock_(clock) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
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
  void Abort(absl::Status reason) override { inner_->Abort(std::move(reason)); }
  void SetTimeout(absl::Duration timeout) override {
    inner_->SetTimeout(timeout);
  }
  TransferCounters counters() const override;

 private:
  friend class EmulatedWork;

  using Bytes = std::vector<int64_t>;  // by rank
  using Start = std::function<std::unique_ptr<Work>()>;

  // A collective that sends these bytes to each rank, and afterwards, unless
  // empty, second[r] from rank r to all others.
  std::unique_ptr<Work> Collective(const TrafficTag& tag, const Bytes& to,
                                   const Bytes& second, const Start& start);
  absl::Duration OnLink(int64_t bytes) const {
    return absl::Seconds(static_cast<double>(bytes) /
                         network_.bytes_per_second);
  }
  // A message leaves; returns when it arrives.
  absl::Duration Depart(absl::Duration now, int64_t bytes);
  // The times of arrival by rank; where this rank is, when its link is free.
  std::vector<int64_t> Depart(absl::Duration now, const Bytes& to);

  const EmulatedNetwork network_;
  ProcessGroup* const inner_;
  RankClock* const clock_;
  TransferRecorder recorder_;  // exposed times alone
  absl::Duration link_free_ = -absl::InfiniteDuration();
};

// A transfer in flight, and the stamps that travel beside it.
class EmulatedWork : public Work {
 public:
  EmulatedWork(EmulatedNetworkGroup* group, const TrafficTag& tag)
      : group_(group), tag_(tag) {}
  ~EmulatedWork() override { Wait().IgnoreError(); }

  void Carry(std::unique_ptr<Work> payload) { payload_ = std::move(payload); }
  // Row r of the stamps is rank r's.
  void GatherStamps(std::vector<int64_t> own, std::vector<int64_t> second);
  void PassStamp(int64_t own, int to, int from);

  absl::Status Wait() override;

 private:
  absl::Status WaitForInner();
  absl::Duration Arrival();
  absl::Duration SecondArrival(const std::vector<absl::Duration>& first);
  // When rank `at` has everything of the first round.
  absl::Duration FirstArrival(int at) const;
  int64_t StampOf(int from, int to) const {
    return stamps_[from * group_->size() + to];
  }

  EmulatedNetworkGroup* const group_;
  const TrafficTag tag_;
  std::vector<int64_t> own_;
  std::vector<int64_t> stamps_;  // [W, W], or one of a single message
  std::vector<int64_t> second_;
  std::unique_ptr<Work> payload_;
  std::unique_ptr<Work> stamp_work_;
  bool waited_ = false;
  absl::Status status_;
};

void EmulatedWork::GatherStamps(std::vector<int64_t> own,
                                std::vector<int64_t> second) {
  const int64_t size = group_->size();
  own_ = std::move(own);
  second_ = std::move(second);
  stamps_.resize(size * size);
  std::vector<TensorView> rows;
  for (int64_t r = 0; r < size; ++r) {
    rows.emplace_back(stamps_.data() + r * size, DType::kI64,
                      std::initializer_list<int64_t>{size});
  }
  stamp_work_ = group_->inner_->AllGather(
      ConstTensorView(own_.data(), DType::kI64, {size}), rows, kStampTag);
}

void EmulatedWork::PassStamp(int64_t own, int to, int from) {
  own_ = {own};
  stamps_ = {kNoMessage};
  const ConstTensorView send(own_.data(), DType::kI64, {1});
  const TensorView receive(stamps_.data(), DType::kI64, {1});
  stamp_work_ = group_->inner_->SendReceive(
      to < 0 ? ConstTensorView() : send, to, from < 0 ? TensorView() : receive,
      from, kStampTag);
}

absl::Status EmulatedWork::Wait() {
  if (waited_) return status_;
  waited_ = true;
  const absl::Duration stopped = group_->clock_->Stop();
  status_ = WaitForInner();
  const absl::Duration arrival = status_.ok() ? Arrival() : stopped;
  const absl::Duration now = group_->clock_->GoOn(std::max(stopped, arrival));
  group_->recorder_.OnExposed(tag_, now - stopped);
  return status_;
}

absl::Status EmulatedWork::WaitForInner() {
  RETURN_IF_ERROR(payload_->Wait());
  return stamp_work_->Wait();
}

absl::Duration EmulatedWork::Arrival() {
  if (stamps_.size() == 1) return TimeOf(stamps_[0]);
  std::vector<absl::Duration> first;
  for (int r = 0; r < group_->size(); ++r) first.push_back(FirstArrival(r));
  return second_.empty() ? first[group_->rank()] : SecondArrival(first);
}

absl::Duration EmulatedWork::FirstArrival(int at) const {
  int64_t last = kNoMessage;
  for (int from = 0; from < group_->size(); ++from) {
    if (from != at) last = std::max(last, StampOf(from, at));
  }
  return TimeOf(last);
}

// Every rank knows when every other had its part, and so when it sent the sum.
absl::Duration EmulatedWork::SecondArrival(
    const std::vector<absl::Duration>& first) {
  const int size = group_->size();
  const int rank = group_->rank();
  absl::Duration last = first[rank];
  for (int from = 0; from < size; ++from) {
    if (second_[from] == 0) continue;
    const absl::Duration begin =
        std::max(first[from], TimeOf(StampOf(from, from)));
    const absl::Duration each = group_->OnLink(second_[from]);
    if (from == rank) {
      group_->link_free_ =
          std::max(group_->link_free_, begin + (size - 1) * each);
      continue;
    }
    const int place = (rank - from + size) % size;  // among its messages
    last = std::max(last, begin + place * each + group_->network_.latency);
  }
  return last;
}

// ---- The group -------------------------------------------------------------

TransferCounters EmulatedNetworkGroup::counters() const {
  TransferCounters counters = inner_->counters();
  counters.erase(kStampTag);
  const TransferCounters exposed = recorder_.Snapshot();
  for (auto& [tag, counts] : counters) {
    const auto found = exposed.find(tag);
    counts.exposed_time =
        found == exposed.end() ? std::nullopt : found->second.exposed_time;
  }
  return counters;
}

absl::Duration EmulatedNetworkGroup::Depart(absl::Duration now, int64_t bytes) {
  link_free_ = std::max(link_free_, now) + OnLink(bytes);
  return link_free_ + network_.latency;
}

std::vector<int64_t> EmulatedNetworkGroup::Depart(absl::Duration now,
                                                  const Bytes& to) {
  std::vector<int64_t> stamps(size(), kNoMessage);
  for (int step = 1; step < size(); ++step) {
    const int peer = (rank() + step) % size();
    if (to[peer] > 0) stamps[peer] = Stamp(Depart(now, to[peer]));
  }
  stamps[rank()] = Stamp(std::max(link_free_, now));
  return stamps;
}

std::unique_ptr<Work> EmulatedNetworkGroup::Collective(const TrafficTag& tag,
                                                       const Bytes& to,
                                                       const Bytes& second,
                                                       const Start& start) {
  const absl::Duration stopped = clock_->Stop();
  auto work = std::make_unique<EmulatedWork>(this, tag);
  work->Carry(start());
  work->GatherStamps(Depart(stopped, to), second);
  recorder_.OnExposed(tag, clock_->GoOn(stopped) - stopped);
  return work;
}

std::unique_ptr<Work> EmulatedNetworkGroup::AllGather(
    ConstTensorView send, absl::Span<const TensorView> receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckAllGather(rank(), size(), send, receive);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  return Collective(tag, Bytes(size(), PayloadBytes(send)), {}, [&] {
    return inner_->AllGather(send, receive, tag, after);
  });
}

std::unique_ptr<Work> EmulatedNetworkGroup::AllToAll(
    absl::Span<const ConstTensorView> send,
    absl::Span<const TensorView> receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckAllToAll(rank(), size(), send, receive);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  return Collective(tag, BytesOf(send), {}, [&] {
    return inner_->AllToAll(send, receive, tag, after);
  });
}

std::unique_ptr<Work> EmulatedNetworkGroup::ReduceScatter(
    absl::Span<const ConstTensorView> send, TensorView receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckReduceScatter(rank(), size(), send, receive);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  return Collective(tag, BytesOf(send), {}, [&] {
    return inner_->ReduceScatter(send, receive, tag, after);
  });
}

std::unique_ptr<Work> EmulatedNetworkGroup::AllReduce(TensorView buffer,
                                                      Reduction reduction,
                                                      TrafficTag tag,
                                                      kernels::Stream* after) {
  absl::Status checked = CheckAllReduce(buffer);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  Bytes to(size(), PayloadBytes(buffer));
  Bytes second;
  if (!AllReducesWhole(PayloadBytes(buffer), size())) {
    for (int r = 0; r < size(); ++r) {
      to[r] = PartOfRank(buffer.element_count(), r, size()).size() *
              BytesPerElement(buffer.dtype());
    }
    second = to;
  }
  return Collective(tag, to, second, [&] {
    return inner_->AllReduce(buffer, reduction, tag, after);
  });
}

std::unique_ptr<Work> EmulatedNetworkGroup::SendReceive(
    ConstTensorView send, int to, TensorView receive, int from, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked =
      CheckSendReceive(rank(), size(), send, to, receive, from);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const int64_t bytes = PayloadBytes(send);
  const absl::Duration stopped = clock_->Stop();
  auto work = std::make_unique<EmulatedWork>(this, tag);
  work->Carry(inner_->SendReceive(send, to, receive, from, tag, after));
  work->PassStamp(bytes > 0 ? Stamp(Depart(stopped, bytes)) : kNoMessage,
                  bytes > 0 ? to : -1, PayloadBytes(receive) > 0 ? from : -1);
  recorder_.OnExposed(tag, clock_->GoOn(stopped) - stopped);
  return work;
}

}  // namespace

std::unique_ptr<ProcessGroup> CreateEmulatedNetworkGroup(
    const EmulatedNetwork& network, ProcessGroup* inner, RankClock* clock) {
  LONGSPAN_CHECK(network.latency >= absl::ZeroDuration())
      << "latency " << absl::ToDoubleSeconds(network.latency) << " s";
  LONGSPAN_CHECK(network.bytes_per_second > 0)
      << network.bytes_per_second << " bytes per second";
  return std::make_unique<EmulatedNetworkGroup>(network, inner, clock);
}

}  // namespace longspan::worker
