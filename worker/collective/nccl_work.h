// What a collective of nccl_group returns. Internal to nccl_group.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "kernels/api/stream.h"
#include "worker/collective/nccl_communicator.h"
#include "worker/collective/process_group.h"
#include "worker/collective/transfer_recorder.h"

namespace longspan::worker {

// A collective that is in a stream. Wait() makes `after` wait for it; with
// `deliver` it blocks until it has finished and then calls `deliver`, which
// brings the result to host memory.
class NcclWork : public Work {
 public:
  using Deliver = std::function<absl::Status()>;

  // `after` is null iff `deliver` is not. Pointers outlive the work.
  NcclWork(NcclCommunicator* communicator, TransferRecorder* recorder,
           TrafficTag tag, std::shared_ptr<const kernels::Event> finished,
           kernels::Stream* after, Deliver deliver);
  ~NcclWork() override;

  absl::Status Wait() override;

 private:
  absl::Status WaitOnce();

  NcclCommunicator* const communicator_;
  TransferRecorder* const recorder_;
  const TrafficTag tag_;
  const std::shared_ptr<const kernels::Event> finished_;
  kernels::Stream* const after_;
  const Deliver deliver_;
  bool waited_ = false;
  absl::Status status_;
};

}  // namespace longspan::worker
