#include "common/model_spec/left_ring_plan.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/row_exchange_plan.h"

namespace longspan {
namespace {

RowWidths RowsOf(const LeftRingShape& shape, bool upwards) {
  return SummaryRows(shape.form, shape.heads, shape.key_heads, upwards);
}

void AddWay(const LeftRingShape& shape, int rank, bool upwards,
            LeftRingMoves& moves) {
  const RowMoves rows = PlanRowMoves(shape.ranges, rank, upwards);
  const int64_t bytes =
      shape.batch * RowsOf(shape, upwards).Bytes(shape.element_bytes);
  moves.calls += rows.calls;
  moves.sent += rows.sent * bytes;
  moves.received += rows.received * bytes;
}

}  // namespace

absl::Status CheckLeftProduct(const LinearLayerForm& form,
                              std::string_view mixer) {
  const std::string name(mixer);
  if (form.delta) {
    return absl::UnimplementedError(absl::StrCat(
        "ring_left adds up what single tokens do, and ", name,
        " has the delta rule, whose state is no such sum: use ring or lasp2"));
  }
  if (form.decay == StateDecay::kPerChannel) {
    return absl::UnimplementedError(absl::StrCat(
        "ring_left weighs two tokens' product with one decay for each head, "
        "and ",
        name, " has one for every channel: use ring or lasp2"));
  }
  return absl::OkStatus();
}

LeftRingShape LeftRingShapeOf(const LinearAttentionSpec& linear, int64_t batch,
                              absl::Span<const TokenRange> ranges,
                              int64_t element_bytes) {
  return {batch,          ranges,       linear.heads, linear.key_heads,
          FormOf(linear), element_bytes};
}

LeftRingMoves PlanLeftRing(const LeftRingShape& shape, int rank, bool forward) {
  LeftRingMoves moves;
  AddWay(shape, rank, /*upwards=*/true, moves);
  if (forward) return moves;
  AddWay(shape, rank, /*upwards=*/false, moves);
  if (!shape.gated()) return moves;
  const int64_t others = static_cast<int64_t>(shape.ranges.size()) - 1;
  const int64_t sums = LeftRingSumBytes(shape);
  ++moves.calls;
  moves.sent += others * sums;
  moves.received += others * sums;
  return moves;
}

int64_t LeftRingSumBytes(const LeftRingShape& shape) {
  return shape.batch * shape.heads * static_cast<int64_t>(sizeof(double));
}

int64_t LeftRingParcelBytes(const LeftRingShape& shape, bool forward) {
  const auto bytes = [&](bool upwards) {
    return RowParcelBytes(shape.ranges, shape.batch, RowsOf(shape, upwards),
                          shape.element_bytes);
  };
  return forward ? bytes(true) : std::max(bytes(true), bytes(false));
}

int64_t LeftRingScratchBytes(const LeftRingShape& shape, bool forward) {
  const int64_t longest = LongestRange(shape.ranges);
  const int64_t values =
      shape.batch * longest * shape.heads * shape.form.columns;
  return LeftRingParcelBytes(shape, forward) +
         shape.element_bytes *
             ((forward ? 1 : 3) * values + kLeftRingQueries * longest);
}

}  // namespace longspan
