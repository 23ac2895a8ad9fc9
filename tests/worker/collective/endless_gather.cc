#include "tests/worker/collective/endless_gather.h"

#include <cstdint>
#include <vector>

#include "common/base/status_macros.h"

namespace longspan::worker {

using kernels::DType;
using kernels::TensorView;

GlooGroupOptions TestGroupOptions(int rank, int size) {
  GlooGroupOptions options;
  options.rank = rank;
  options.size = size;
  options.key_prefix = "tenants/default/jobs/j/1/1";
  options.secret = "secret of the test";
  options.connect_timeout = absl::Seconds(20);
  return options;
}

absl::Status GatherUntilError(RendezvousStore& store, int rank, int size,
                              absl::Duration timeout, int64_t bytes,
                              const std::function<void(int64_t)>& after_each) {
  GlooGroupOptions options = TestGroupOptions(rank, size);
  options.collective_timeout = timeout;
  ASSIGN_OR_RETURN(auto group, CreateGlooGroup(options, store));
  std::vector<std::vector<uint8_t>> parts(size, std::vector<uint8_t>(bytes));
  std::vector<TensorView> receive;
  for (auto& part : parts) {
    receive.emplace_back(part.data(), DType::kU8,
                         std::initializer_list<int64_t>{bytes});
  }
  for (int64_t done = 0;; after_each(++done)) {
    RETURN_IF_ERROR(
        group->AllGather(receive[rank], receive, TrafficTag())->Wait());
  }
}

}  // namespace longspan::worker
