#include "worker/collective/nccl_communicator.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using SteadyClock = std::chrono::steady_clock;

// How often the watchdog looks. Deadlines are seconds.
constexpr absl::Duration kPeriod = absl::Milliseconds(10);
constexpr absl::Duration kGoodbyeTimeout = absl::Seconds(5);
constexpr absl::Duration kAbortTimeout = absl::Seconds(10);
// NCCL forbids an abort beside another call. Calls do not block, so they end
// at once; one that does not is what the abort is to end.
constexpr absl::Duration kCallerTimeout = absl::Seconds(1);

absl::Status Overdue(const NcclOperation& operation) {
  return absl::DeadlineExceededError(absl::StrCat(
      operation.what, ": deadline passed; another rank died, hangs or came to ",
      "another collective"));
}

}  // namespace

NcclCommunicator::NcclCommunicator(const NcclLibrary& library, NcclComm comm)
    : library_(library), comm_(comm), watchdog_([this] { Watchdog(); }) {}

NcclCommunicator::~NcclCommunicator() { Close(); }

absl::Status NcclCommunicator::health() const {
  MutexLock lock(mu_);
  return broken_;
}

void NcclCommunicator::Break(absl::Status reason) {
  LONGSPAN_CHECK(!reason.ok()) << "a group breaks with an error";
  MutexLock lock(mu_);
  if (broken_.ok()) broken_ = std::move(reason);
  changed_.NotifyAll();
}

absl::Status NcclCommunicator::BeginCall(const NcclOperation& operation) {
  MutexLock lock(mu_);
  if (broken_.ok()) calling_ = operation;
  return broken_;
}

void NcclCommunicator::EndCall() {
  MutexLock lock(mu_);
  issued_ = calling_;
  calling_.reset();
  changed_.NotifyAll();
}

NcclResult NcclCommunicator::MakeGroup(
    const std::function<NcclResult(NcclComm)>& calls) {
  const NcclResult started = library_.group_start();
  if (started != kNcclSuccess) return started;
  const NcclResult called = calls(comm_);
  const NcclResult ended = library_.group_end();
  const bool fine = called == kNcclSuccess || called == kNcclInProgress;
  return fine ? ended : called;
}

absl::Status NcclCommunicator::Issue(
    const NcclOperation& operation,
    const std::function<NcclResult(NcclComm)>& calls) {
  RETURN_IF_ERROR(BeginCall(operation));
  const NcclResult made = MakeGroup(calls);
  absl::Status status =
      made == kNcclInProgress
          ? SettleNccl(library_, comm_, operation.what, operation.deadline,
                       [this] { return health(); })
          : NcclStatus(library_, made, comm_, operation.what);
  EndCall();
  if (status.ok()) return health();
  if (absl::IsDeadlineExceeded(status)) status = Overdue(operation);
  Break(std::move(status));
  return health();
}

void NcclCommunicator::Watch(const NcclOperation& operation,
                             std::shared_ptr<const kernels::Event> finished) {
  MutexLock lock(mu_);
  issued_.reset();
  in_flight_.push_back({operation, std::move(finished)});
}

absl::Status NcclCommunicator::Await(const kernels::Event& finished) {
  constexpr int kSpins = 1000;
  for (int spin = 0;; ++spin) {
    RETURN_IF_ERROR(health());
    ASSIGN_OR_RETURN(const bool passed, finished.Passed());
    if (passed) return health();
    if (spin < kSpins) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

absl::Status NcclCommunicator::SayGoodbye() {
  const NcclOperation goodbye = {"closing the NCCL communicator",
                                 NcclDeadline(kGoodbyeTimeout)};
  RETURN_IF_ERROR(BeginCall(goodbye));
  const NcclResult finalized = library_.comm_finalize(comm_);
  absl::Status status =
      finalized == kNcclInProgress
          ? SettleNccl(library_, comm_, goodbye.what, goodbye.deadline,
                       [this] { return health(); })
          : NcclStatus(library_, finalized, comm_, goodbye.what);
  EndCall();
  return status;
}

bool NcclCommunicator::Close() {
  if (watchdog_.joinable()) {
    absl::Status status = SayGoodbye();
    if (!status.ok()) Break(std::move(status));
    {
      MutexLock lock(mu_);
      closing_ = true;
      changed_.NotifyAll();
    }
    watchdog_.join();
    if (health().ok()) library_.comm_destroy(comm_);
  }
  MutexLock lock(mu_);
  return !abort_hangs_;
}

void NcclCommunicator::Watchdog() {
  for (;;) {
    {
      MutexLock lock(mu_);
      if (broken_.ok() && closing_) return;
      if (broken_.ok()) changed_.WaitFor(mu_, kPeriod);
      if (broken_.ok() && closing_) return;
      if (!broken_.ok()) break;
    }
    absl::Status found = Examine();
    if (!found.ok()) Break(std::move(found));
  }
  AwaitCaller();
  const bool aborted = AbortNccl(library_, comm_, kAbortTimeout);
  MutexLock lock(mu_);
  abort_hangs_ = !aborted;
  in_flight_.clear();
}

absl::Status NcclCommunicator::Examine() {
  RETURN_IF_ERROR(ExamineInFlight());
  NcclResult state = kNcclSuccess;
  const NcclResult asked = library_.comm_get_async_error(comm_, &state);
  if (asked != kNcclSuccess) state = asked;
  if (state == kNcclInProgress) return absl::OkStatus();
  std::string what;
  {
    MutexLock lock(mu_);
    what = !in_flight_.empty() ? in_flight_.front().operation.what
           : calling_          ? calling_->what
           : issued_           ? issued_->what
                               : "between collectives";
  }
  return NcclStatus(library_, state, comm_, what);
}

absl::Status NcclCommunicator::ExamineInFlight() {
  const NcclTimePoint now = SteadyClock::now();
  MutexLock lock(mu_);
  while (!in_flight_.empty()) {
    const InFlight& oldest = in_flight_.front();
    ASSIGN_OR_RETURN(const bool passed, oldest.finished->Passed());
    if (!passed) break;
    in_flight_.pop_front();
  }
  if (!in_flight_.empty() && now >= in_flight_.front().operation.deadline) {
    return Overdue(in_flight_.front().operation);
  }
  // A call that blocks although it must not.
  if (calling_ && now >= calling_->deadline) return Overdue(*calling_);
  return absl::OkStatus();
}

void NcclCommunicator::AwaitCaller() {
  const NcclTimePoint limit = NcclDeadline(kCallerTimeout);
  MutexLock lock(mu_);
  while (calling_ && changed_.WaitUntil(mu_, limit)) {
  }
}

}  // namespace longspan::worker
