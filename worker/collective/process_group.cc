#include "worker/collective/process_group.h"

namespace longspan::worker {

absl::Status ProcessGroup::Barrier() {
  // Nobody's sum is complete before everybody has contributed.
  int64_t one = 1;
  const kernels::TensorView view(&one, kernels::DType::kI64, {1});
  return AllReduce(view, Reduction::kSum, TrafficTag())->Wait();
}

}  // namespace longspan::worker
