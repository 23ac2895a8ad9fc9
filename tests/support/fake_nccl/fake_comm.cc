#include "tests/support/fake_nccl/fake_comm.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace longspan::fake_nccl {
namespace {

using Clock = std::chrono::steady_clock;
using EnqueueFunction = void(void* stream, void (*run)(void*), void* context);

std::atomic<const char*> last_words = "";

EnqueueFunction* StreamHook() {
  static EnqueueFunction* const hook = reinterpret_cast<EnqueueFunction*>(
      dlsym(RTLD_DEFAULT, "longspan_emulated_enqueue"));
  return hook;
}

void Nap() { std::this_thread::sleep_for(std::chrono::microseconds(50)); }

void FlipBit(Operation& operation) {
  for (Message& message : operation.receives) {
    if (message.bytes > 0) message.data[message.bytes / 2] ^= 1;
  }
}

}  // namespace

void SetLastWords(const char* words) { last_words = words; }
const char* LastWords() { return last_words; }

// An operation on its way through a stream.
struct Comm::Running {
  std::shared_ptr<Comm> comm;
  Operation operation;
  int64_t number = 0;
};

Comm::Comm(std::shared_ptr<Segment> segment, int rank, int ranks)
    : segment_(std::move(segment)),
      rank_(rank),
      ranks_(ranks),
      faults_(ReadFaults(rank)) {
  segment_->pids[rank_] = getpid();
  segment_->states[rank_] = kJoined;
  if (faults_.fail_init) {
    Fail(worker::kNcclInvalidUsage,
         "Duplicate GPU detected : two ranks on the same device");
  }
}

Comm::~Comm() {
  if (launcher_.joinable()) launcher_.join();
}

worker::NcclResult Comm::State() const {
  const int error = error_;
  if (error != worker::kNcclSuccess) {
    return static_cast<worker::NcclResult>(error);
  }
  const bool connected = !faults_.hang_init && segment_->AllJoined(ranks_);
  const bool draining = finalizing_ && pending_ > 0;
  return !connected || launching_ || draining ? worker::kNcclInProgress
                                              : worker::kNcclSuccess;
}

void Comm::Fail(worker::NcclResult error, const char* words) {
  SetLastWords(words);
  error_ = error;
}

void Comm::Launch(Operation operation) {
  if (launcher_.joinable()) launcher_.join();
  launching_ = true;
  launcher_ = std::thread(
      [this, number = operations_++, moved = std::move(operation)]() mutable {
        Enqueue(std::move(moved), number);
        launching_ = false;
      });
}

void Comm::Enqueue(Operation operation, int64_t number) {
  Nap();
  if (faults_.Strikes("hang_enqueue", number)) return AwaitAbort();
  ++pending_;
  void* const stream = operation.stream;
  auto* running = new Running{shared_from_this(), std::move(operation), number};
  if (StreamHook() == nullptr) return RunInStream(running);
  StreamHook()(stream, &RunInStream, running);
}

void Comm::RunInStream(void* context) {
  const std::unique_ptr<Running> running(static_cast<Running*>(context));
  running->comm->Run(running->operation, running->number);
  --running->comm->pending_;
}

void Comm::Run(Operation& operation, int64_t number) {
  if (faults_.Strikes("die", number)) _exit(9);
  if (faults_.Strikes("lose", number)) return;
  if (faults_.Strikes("error", number) || faults_.Strikes("lose", number - 1)) {
    Fail(worker::kNcclRemoteError, "socket closed by remote peer");
    return AwaitAbort();
  }
  if (faults_.Strikes("hang", number)) return AwaitAbort();
  Linger();
  Clock::time_point checked = Clock::now();
  while (!aborted_) {
    if (Pump(operation)) continue;
    const auto done = [](const Message& m) { return m.complete(); };
    if (std::all_of(operation.sends.begin(), operation.sends.end(), done) &&
        std::all_of(operation.receives.begin(), operation.receives.end(),
                    done)) {
      if (faults_.Strikes("flip", number)) FlipBit(operation);
      return;
    }
    if (Clock::now() - checked > std::chrono::milliseconds(5)) {
      CheckPeers(operation);
      checked = Clock::now();
    }
    Nap();
  }
}

void Comm::Linger() const {
  const auto until =
      Clock::now() + std::chrono::microseconds(faults_.slow_microseconds);
  while (!aborted_ && Clock::now() < until) Nap();
}

// True if a byte moved.
bool Comm::Pump(Operation& operation) {
  bool moved = false;
  // Messages of a pair go one after the other.
  int64_t busy = 0;
  for (Message& message : operation.sends) {
    if (message.complete() || (busy >> message.peer & 1) != 0) continue;
    moved |= PumpSend(message);
    if (!message.complete()) busy |= int64_t{1} << message.peer;
  }
  busy = 0;
  for (Message& message : operation.receives) {
    if (message.complete() || (busy >> message.peer & 1) != 0) continue;
    moved |= PumpReceive(message);
    if (!message.complete()) busy |= int64_t{1} << message.peer;
  }
  return moved;
}

bool Comm::PumpSend(Message& message) {
  Ring& ring = segment_->rings[rank_][message.peer];
  constexpr int64_t kHeader = sizeof(message.bytes);
  const char* header = reinterpret_cast<const char*>(&message.bytes);
  const int64_t head =
      ring.Write(header + message.header_done, kHeader - message.header_done);
  message.header_done += head;
  if (message.header_done < kHeader) return head > 0;
  const int64_t body =
      ring.Write(message.data + message.done, message.bytes - message.done);
  message.done += body;
  return head + body > 0;
}

bool Comm::PumpReceive(Message& message) {
  Ring& ring = segment_->rings[message.peer][rank_];
  constexpr int64_t kHeader = sizeof(message.announced);
  char* header = reinterpret_cast<char*>(&message.announced);
  const int64_t head =
      ring.Read(header + message.header_done, kHeader - message.header_done);
  message.header_done += head;
  if (message.header_done < kHeader) return head > 0;
  if (message.announced != message.bytes) {
    Fail(worker::kNcclInternalError, "a message of another size than expected");
    AwaitAbort();
    return false;
  }
  const int64_t body =
      ring.Read(message.data + message.done, message.bytes - message.done);
  message.done += body;
  return head + body > 0;
}

void Comm::CheckPeers(const Operation& operation) {
  if (faults_.silent || error_ != worker::kNcclSuccess) return;
  const auto check = [this](const Message& message) {
    if (message.complete() || !segment_->IsGone(message.peer)) return;
    Fail(worker::kNcclRemoteError, "connection closed by remote peer");
  };
  for (const Message& message : operation.sends) check(message);
  for (const Message& message : operation.receives) check(message);
}

void Comm::AwaitAbort() const {
  while (!aborted_) Nap();
}

void Comm::Abort() {
  segment_->states[rank_] = kGone;
  if (faults_.hang_abort) {
    for (;;) pause();
  }
  aborted_ = true;
  if (launcher_.joinable()) launcher_.join();
  while (pending_ > 0) Nap();
}

}  // namespace longspan::fake_nccl
