#include "worker/model/head_sharing.h"

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// The heads of rows [B, n, H F] that are number r of their group: [B, n, G, F].
TensorView Members(TensorView rows, int64_t groups, int64_t repeats,
                   int64_t r) {
  return rows.SplitLast(groups).SplitLast(repeats).Select(3, r);
}

}  // namespace

absl::Status ShareHeads(const RankContext& context, int64_t groups,
                        ConstTensorView from, TensorView to) {
  const int64_t repeats = to.size(2) / from.size(2);
  for (int64_t r = 0; r < repeats; ++r) {
    RETURN_IF_ERROR(context.backend->elementwise().Copy(
        from.SplitLast(groups), Members(to, groups, repeats, r),
        *context.stream));
  }
  return absl::OkStatus();
}

absl::Status ShareHeadsBackward(const RankContext& context, int64_t groups,
                                TensorView d_to, TensorView d_from) {
  const int64_t repeats = d_to.size(2) / d_from.size(2);
  const TensorView sum = d_from.SplitLast(groups);
  RETURN_IF_ERROR(context.backend->elementwise().Copy(
      Members(d_to, groups, repeats, 0), sum, *context.stream));
  for (int64_t r = 1; r < repeats; ++r) {
    RETURN_IF_ERROR(context.backend->elementwise().Add(
        sum, Members(d_to, groups, repeats, r), sum, *context.stream));
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
