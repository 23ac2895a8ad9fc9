#include "worker/model/gang_recurrence.h"

namespace longspan::worker {

int64_t RecurrenceWorkspaceBytes(const RankContext& context,
                                 kernels::LinearAttentionStage stage,
                                 const LinearLayerForm& form,
                                 const RecurrenceExtent& extent) {
  return kernels::LinearAttentionWorkspaceBytes(
      stage,
      {extent.batch, extent.tokens, extent.heads, form.features, form.columns,
       context.element_bytes(), DecayKind(form), extent.key_heads},
      context.backend_kind, context.threads);
}

}  // namespace longspan::worker
