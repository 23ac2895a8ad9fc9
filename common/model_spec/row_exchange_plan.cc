#include "common/model_spec/row_exchange_plan.h"

#include "common/base/divide.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/precision.h"

namespace longspan {

int64_t RowWidths::Bytes(int64_t element_bytes) const {
  return narrow * element_bytes + wide * AccumulatorBytes(element_bytes);
}

RowWidths SummaryRows(const LinearLayerForm& form, int64_t heads,
                      int64_t key_heads, bool forward) {
  const int64_t keys = key_heads * form.features;
  RowWidths rows;
  rows.narrow = keys + heads * form.columns;
  if (form.decay == StateDecay::kPerHead) rows.wide += heads;
  if (form.decay == StateDecay::kPerChannel) rows.wide += heads * form.features;
  if (form.delta) rows.wide += heads;
  if (form.delta && !forward) rows.narrow += keys;
  return rows;
}

RowMoves PlanRowMoves(absl::Span<const TokenRange> ranges, int rank,
                      bool forward) {
  const int last = static_cast<int>(ranges.size()) - 1;
  const int place = forward ? rank : last - rank;
  const int64_t own = ranges[rank].size();
  const int64_t before =
      forward ? ranges[rank].begin : ranges[last].end - ranges[rank].end;
  if (place == last) return {place, 0, before};
  return {place + 1, before + own, before};
}

int64_t RowParcelBytes(absl::Span<const TokenRange> ranges, int64_t batch,
                       const RowWidths& rows, int64_t element_bytes) {
  const int64_t bytes =
      batch * LongestRange(ranges) * rows.Bytes(element_bytes);
  return 2 * RoundUp(bytes, kRowParcelAlignment);
}

}  // namespace longspan
