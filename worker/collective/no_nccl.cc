#include "worker/collective/nccl_group.h"

namespace longspan::worker {

absl::StatusOr<std::unique_ptr<ProcessGroup>> CreateNcclGroup(
    const NcclGroupOptions& /*options*/, RendezvousStore& /*store*/) {
  return absl::UnimplementedError(
      "this build has no NCCL; use CPU devices, or a build made with the "
      "preset `cuda`");
}

}  // namespace longspan::worker
