// The decays of one range of tokens, for the method that weighs products of
// two tokens (common/model_spec/left_ring_plan.h). With b_t the sum of log a_s
// over tokens s <= t of the range, and A that of all of them,
//
//     FromBegin   factor e^{before + b_t} x_t       queries; before += A
//     ToEnd       e^{A - b_t + after} x_t           keys; after += A
//
// where `before` and `after` are what lies between this range and the other: 0
// next to it, and then carried on from range to range. A document that begins
// at token t hides all tokens before it from t and those after it: a decay of
// -infinity. So e^{b_t - b_s}, from a key of one range to a query of another,
// is the product of two numbers that are at most 1.
//
// The gradient of a gate is that of all products whose key lies before it and
// whose query does not. With p_s what token s has of them, as a query, less
// what it has as a key, that is sum_{s >= t} p_s (docs/math.md):
//
//     AddSuffixes  d_log_gate_t += sign sum_{s >= t} x_s . y_s; the sums of all
//                  tokens are added to `totals`
//
// Numbers are f32 or f64 and pass through the host in doubles, some tokens at a
// time. Views are contiguous where nothing else is said; carried numbers are
// [B * H].
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/documents.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

class RangeDecay {
 public:
  // `log_gate` [B, n, H], or null: `log_decays` per head, or none at all.
  // `documents`: those that begin in the range. Views must outlive the object.
  RangeDecay(const RankContext& context, kernels::ConstTensorView log_gate,
             const std::vector<double>& log_decays,
             kernels::Documents documents)
      : context_(context),
        log_gate_(log_gate),
        log_decays_(log_decays),
        documents_(documents) {}

  // x [B, n, H, D], perhaps strided, is only read; the result is dense, at the
  // front of `buffer`, which lies elsewhere.
  absl::StatusOr<kernels::TensorView> FromBegin(
      double factor, kernels::ConstTensorView x, kernels::TensorView buffer,
      std::vector<double>& before) const;
  absl::StatusOr<kernels::TensorView> ToEnd(kernels::ConstTensorView x,
                                            kernels::TensorView buffer,
                                            std::vector<double>& after) const;

 private:
  // Of tokens [begin, end), [m, H], of one batch element.
  absl::Status GatesOf(int64_t batch, int64_t begin, int64_t end,
                       std::vector<double>& gates, int64_t heads) const;
  bool StartsAt(int64_t token) const;
  absl::StatusOr<kernels::TensorView> Scaled(
      double factor, bool from_begin, kernels::ConstTensorView x,
      kernels::TensorView buffer, std::vector<double>& carried) const;
  // Of tokens [begin, end), [m, H, D], of one batch element; `decays` [H].
  absl::Status ScaleRun(double factor, bool from_begin, int64_t batch,
                        int64_t begin, kernels::TensorView run,
                        absl::Span<double> decays) const;

  const RankContext& context_;
  const kernels::ConstTensorView log_gate_;
  const std::vector<double>& log_decays_;
  const kernels::Documents documents_;
};

// x, y [B, n, H, D]; d_log_gate [B, n, H].
absl::Status AddSuffixes(const RankContext& context, double sign,
                         kernels::ConstTensorView x, kernels::ConstTensorView y,
                         kernels::TensorView d_log_gate,
                         std::vector<double>& totals);

// d_log_gate [B, n, H] += later [B * H], the same for every token.
absl::Status AddToAllTokens(const RankContext& context,
                            const std::vector<double>& later,
                            kernels::TensorView d_log_gate);

}  // namespace longspan::worker
