#include "worker/collective/thread_group.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "worker/collective/all_reduce_plan.h"
#include "worker/collective/arguments.h"
#include "worker/collective/failed_work.h"
#include "worker/collective/reduction.h"
#include "worker/collective/thread_world.h"
#include "worker/collective/transfer_recorder.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;
using Contributions = std::map<int, ThreadContribution>;
using SteadyTime = std::chrono::steady_clock::time_point;

absl::Status CopyPart(const ConstTensorView& from, const TensorView& to,
                      int source, int destination) {
  if (PayloadBytes(from) != PayloadBytes(to)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rank ", source, " sends ", from.DebugString(), " where rank ",
        destination, " expects ", ConstTensorView(to).DebugString()));
  }
  if (from.data() != to.data() && PayloadBytes(from) > 0) {
    std::memcpy(to.data(), from.data(), PayloadBytes(from));
  }
  return absl::OkStatus();
}

absl::Status CarryAllGather(const Contributions& all) {
  for (const auto& [destination, to] : all) {
    for (const auto& [source, from] : all) {
      absl::Status copied =
          CopyPart(from.send[0], to.receive[source], source, destination);
      if (!copied.ok()) return copied;
    }
  }
  return absl::OkStatus();
}

absl::Status CarryAllToAll(const Contributions& all) {
  for (const auto& [destination, to] : all) {
    for (const auto& [source, from] : all) {
      absl::Status copied = CopyPart(from.send[destination], to.receive[source],
                                     source, destination);
      if (!copied.ok()) return copied;
    }
  }
  return absl::OkStatus();
}

absl::Status CarryReduceScatter(const Contributions& all) {
  for (const auto& [destination, to] : all) {
    const TensorView& out = to.receive[0];
    std::vector<const void*> parts;
    for (const auto& [source, from] : all) {
      const ConstTensorView& part = from.send[destination];
      if (PayloadBytes(part) != PayloadBytes(out)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "rank ", source, " sends ", part.DebugString(), " where rank ",
            destination, " expects ", ConstTensorView(out).DebugString()));
      }
      parts.push_back(part.data());
    }
    ReduceInRankOrder(parts, out.data(), out.dtype(), out.element_count(),
                      Reduction::kSum);
  }
  return absl::OkStatus();
}

absl::Status CarryAllReduce(const Contributions& all, Reduction reduction) {
  const TensorView& first = all.begin()->second.receive[0];
  std::vector<const void*> parts;
  for (const auto& [source, from] : all) {
    const TensorView& part = from.receive[0];
    if (part.dtype() != first.dtype() ||
        PayloadBytes(part) != PayloadBytes(first)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "AllReduce of ", ConstTensorView(part).DebugString(), " by rank ",
          source, " and ", ConstTensorView(first).DebugString(), " by rank 0"));
    }
    parts.push_back(part.data());
  }
  ReduceInRankOrder(parts, first.data(), first.dtype(), first.element_count(),
                    reduction);
  for (const void* part : parts) {
    if (part == first.data()) continue;
    std::memcpy(const_cast<void*>(part), first.data(), PayloadBytes(first));
  }
  return absl::OkStatus();
}

class ThreadWork;

class ThreadGroup : public ProcessGroup {
 public:
  ThreadGroup(std::shared_ptr<ThreadWorld> world, int rank)
      : world_(std::move(world)),
        rank_(rank),
        sent_(world_->size()),
        received_(world_->size()) {}

  int rank() const override { return rank_; }
  int size() const override { return world_->size(); }
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
  void Abort(absl::Status reason) override { world_->Break(reason); }
  void SetTimeout(absl::Duration timeout) override { timeout_ = timeout; }
  TransferCounters counters() const override { return recorder_.Snapshot(); }

 private:
  friend class ThreadWork;

  SteadyTime Deadline() const {
    // A day bounds infinite timeouts within std::chrono's range.
    return std::chrono::steady_clock::now() +
           absl::ToChronoNanoseconds(std::min(timeout_, absl::Hours(24)));
  }
  void Count(const TrafficTag& tag, int64_t sent, int64_t received) {
    recorder_.OnLaunch(tag);
    recorder_.OnSent(tag, sent);
    recorder_.OnReceived(tag, received);
  }
  std::unique_ptr<Work> Collective(const char* name, int64_t bytes,
                                   TrafficTag tag,
                                   ThreadContribution contribution,
                                   const ThreadWorld::Carry& carry);

  const std::shared_ptr<ThreadWorld> world_;
  const int rank_;
  TransferRecorder recorder_;
  absl::Duration timeout_ = absl::Minutes(5);
  int64_t collectives_ = 0;
  // Messages so far to and from each rank.
  std::vector<int64_t> sent_;
  std::vector<int64_t> received_;
};

class ThreadWork : public Work {
 public:
  ThreadWork(ThreadGroup* group, std::string what, TrafficTag tag)
      : group_(group),
        what_(std::move(what)),
        tag_(tag),
        deadline_(group->Deadline()) {}
  ~ThreadWork() override { Wait().IgnoreError(); }

  void Add(absl::StatusOr<std::shared_ptr<ThreadMeeting>> meeting) {
    if (meeting.ok()) {
      meetings_.push_back(*std::move(meeting));
    } else if (status_.ok()) {
      status_ = meeting.status();
    }
  }

  absl::Status Wait() override {
    if (meetings_.empty()) return status_;
    const ExposedScope exposed(&group_->recorder_, tag_);
    for (const std::shared_ptr<ThreadMeeting>& meeting : meetings_) {
      const absl::Status waited =
          group_->world_->Wait(*meeting, group_->rank_, what_, deadline_);
      if (status_.ok()) status_ = waited;
    }
    meetings_.clear();
    return status_;
  }

 private:
  ThreadGroup* const group_;
  const std::string what_;
  const TrafficTag tag_;
  const SteadyTime deadline_;
  std::vector<std::shared_ptr<ThreadMeeting>> meetings_;
  absl::Status status_;
};

std::unique_ptr<Work> ThreadGroup::Collective(const char* name, int64_t bytes,
                                              TrafficTag tag,
                                              ThreadContribution contribution,
                                              const ThreadWorld::Carry& carry) {
  auto work = std::make_unique<ThreadWork>(
      this, DescribeOperation(name, bytes, tag), tag);
  const ThreadMeetingKey key{-1, -1, collectives_++};
  work->Add(
      world_->Join(key, rank_, size(), name, std::move(contribution), carry));
  return work;
}

std::unique_ptr<Work> ThreadGroup::AllGather(
    ConstTensorView send, absl::Span<const TensorView> receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckAllGather(rank_, size(), send, receive);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  int64_t received = 0;
  for (const TensorView& view : receive) received += PayloadBytes(view);
  Count(tag, (size() - 1) * PayloadBytes(send), received - PayloadBytes(send));
  return Collective("AllGather", PayloadBytes(send), tag,
                    {{send}, {receive.begin(), receive.end()}}, CarryAllGather);
}

std::unique_ptr<Work> ThreadGroup::AllToAll(
    absl::Span<const ConstTensorView> send,
    absl::Span<const TensorView> receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckAllToAll(rank_, size(), send, receive);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  const int64_t sent = ForeignBytes(send, rank_);
  Count(tag, sent, ForeignBytes(receive, rank_));
  return Collective(
      "AllToAll", sent, tag,
      {{send.begin(), send.end()}, {receive.begin(), receive.end()}},
      CarryAllToAll);
}

std::unique_ptr<Work> ThreadGroup::ReduceScatter(
    absl::Span<const ConstTensorView> send, TensorView receive, TrafficTag tag,
    kernels::Stream* after) {
  absl::Status checked = CheckReduceScatter(rank_, size(), send, receive);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  int64_t sent = -PayloadBytes(receive);
  for (const ConstTensorView& view : send) sent += PayloadBytes(view);
  Count(tag, sent, (size() - 1) * PayloadBytes(receive));
  return Collective("ReduceScatter", PayloadBytes(receive), tag,
                    {{send.begin(), send.end()}, {receive}},
                    CarryReduceScatter);
}

std::unique_ptr<Work> ThreadGroup::AllReduce(TensorView buffer,
                                             Reduction reduction,
                                             TrafficTag tag,
                                             kernels::Stream* after) {
  absl::Status checked = CheckAllReduce(buffer);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  const int64_t bytes = AllReduceBytesSent(
      buffer.element_count(), BytesPerElement(buffer.dtype()), rank_, size());
  Count(tag, bytes, bytes);
  return Collective("AllReduce", PayloadBytes(buffer), tag, {{}, {buffer}},
                    [reduction](const Contributions& all) {
                      return CarryAllReduce(all, reduction);
                    });
}

std::unique_ptr<Work> ThreadGroup::SendReceive(ConstTensorView send, int to,
                                               TensorView receive, int from,
                                               TrafficTag tag,
                                               kernels::Stream* after) {
  absl::Status checked =
      CheckSendReceive(rank_, size(), send, to, receive, from);
  if (checked.ok()) checked = FinishOnHost(after);
  if (!checked.ok()) return Failed(checked);
  const ExposedScope exposed(&recorder_, tag);
  auto work = std::make_unique<ThreadWork>(
      this,
      DescribeOperation("SendReceive",
                        PayloadBytes(send) + PayloadBytes(receive), tag),
      tag);
  const auto carry = [](const Contributions& all) {
    const auto& [first, a] = *all.begin();
    const auto& [second, b] = *all.rbegin();
    return a.send.empty() ? CopyPart(b.send[0], a.receive[0], second, first)
                          : CopyPart(a.send[0], b.receive[0], first, second);
  };
  const bool sends = PayloadBytes(send) > 0;
  const bool receives = PayloadBytes(receive) > 0;
  Count(tag, sends ? PayloadBytes(send) : 0,
        receives ? PayloadBytes(receive) : 0);
  if (sends) {
    work->Add(world_->Join({rank_, to, sent_[to]++}, rank_, 2, "SendReceive",
                           {{send}, {}}, carry));
  }
  if (receives) {
    work->Add(world_->Join({from, rank_, received_[from]++}, rank_, 2,
                           "SendReceive", {{}, {receive}}, carry));
  }
  return work;
}

}  // namespace

std::vector<std::unique_ptr<ProcessGroup>> CreateThreadGroups(int size) {
  LONGSPAN_CHECK(size >= 1) << "size " << size;
  auto world = std::make_shared<ThreadWorld>(size);
  std::vector<std::unique_ptr<ProcessGroup>> groups;
  for (int rank = 0; rank < size; ++rank) {
    groups.push_back(std::make_unique<ThreadGroup>(world, rank));
  }
  return groups;
}

}  // namespace longspan::worker
