#include "worker/collective/nccl_work.h"

#include <utility>

#include "common/base/status_macros.h"

namespace longspan::worker {

NcclWork::NcclWork(NcclCommunicator* communicator, TransferRecorder* recorder,
                   TrafficTag tag,
                   std::shared_ptr<const kernels::Event> finished,
                   kernels::Stream* after, Deliver deliver)
    : communicator_(communicator),
      recorder_(recorder),
      tag_(tag),
      finished_(std::move(finished)),
      after_(after),
      deliver_(std::move(deliver)) {}

NcclWork::~NcclWork() { Wait().IgnoreError(); }

absl::Status NcclWork::Wait() {
  if (waited_) return status_;
  waited_ = true;
  status_ = WaitOnce();
  return status_;
}

absl::Status NcclWork::WaitOnce() {
  if (deliver_ != nullptr) {
    const ExposedScope exposed(recorder_, tag_);
    RETURN_IF_ERROR(communicator_->Await(*finished_));
    return deliver_();
  }
  RETURN_IF_ERROR(communicator_->health());
  return after_->WaitFor(*finished_);
}

}  // namespace longspan::worker
