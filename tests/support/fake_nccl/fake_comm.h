// A communicator of the fake NCCL: what README.md describes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/fake_nccl/fake_faults.h"
#include "tests/support/fake_nccl/fake_segment.h"

namespace longspan::fake_nccl {

// A message to or from a peer; its first bytes on the way are its size.
struct Message {
  int peer = 0;
  char* data = nullptr;
  int64_t bytes = 0;
  int64_t header_done = 0;
  int64_t done = 0;
  int64_t announced = 0;  // of a receive
  bool complete() const {
    return header_done == int64_t{sizeof(int64_t)} && done == bytes;
  }
};

// The calls of one group, which run together.
struct Operation {
  void* stream = nullptr;
  std::vector<Message> sends;
  std::vector<Message> receives;
};

class Comm : public std::enable_shared_from_this<Comm> {
 public:
  Comm(std::shared_ptr<Segment> segment, int rank, int ranks);
  ~Comm();

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }

  // The answer of ncclCommGetAsyncError.
  worker::NcclResult State() const;

  // Another thread puts the operation into its stream.
  void Launch(Operation operation);
  void Finalize() { finalizing_ = true; }
  // Ends what runs; returns when it has ended.
  void Abort();

 private:
  struct Running;

  static void RunInStream(void* context);
  void Enqueue(Operation operation, int64_t number);
  void Run(Operation& operation, int64_t number);
  bool Pump(Operation& operation);
  bool PumpSend(Message& message);
  bool PumpReceive(Message& message);
  void CheckPeers(const Operation& operation);
  void Fail(worker::NcclResult error, const char* last_words);
  void AwaitAbort() const;
  void Linger() const;

  const std::shared_ptr<Segment> segment_;
  const int rank_;
  const int ranks_;
  const Faults faults_;

  std::thread launcher_;
  int64_t operations_ = 0;
  std::atomic<bool> launching_ = false;
  std::atomic<int> pending_ = 0;  // operations in the stream
  std::atomic<bool> finalizing_ = false;
  std::atomic<bool> aborted_ = false;
  std::atomic<int> error_ = worker::kNcclSuccess;
};

// What ncclGetLastError answers; `words` is a literal.
void SetLastWords(const char* words);
const char* LastWords();

}  // namespace longspan::fake_nccl
