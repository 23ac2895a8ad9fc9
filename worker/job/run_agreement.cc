#include "worker/job/run_agreement.h"

#include "common/base/status_macros.h"

namespace longspan::worker {

void RunAgreement::Start(double seconds, bool stop) {
  const bool leader = group_ == nullptr || group_->rank() == 0;
  values_[0] = leader ? seconds : 0.0;
  values_[1] = stop ? 1.0 : 0.0;
  if (group_ == nullptr) return;
  work_ =
      group_->AllReduce(kernels::TensorView(values_, kernels::DType::kF64, {2}),
                        Reduction::kSum, {.traffic = Traffic::kControl});
}

absl::StatusOr<Agreed> RunAgreement::Finish() {
  if (work_ != nullptr) {
    RETURN_IF_ERROR(work_->Wait());
    work_.reset();
  }
  return Agreed{.seconds = values_[0], .stop = values_[1] > 0.0};
}

}  // namespace longspan::worker
