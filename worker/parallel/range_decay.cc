#include "worker/parallel/range_decay.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/types/span.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// Tokens that are on the host at a time.
constexpr int64_t kTokens = 64;

// The decay of what a document's begin hides.
constexpr double kHidden = -std::numeric_limits<double>::infinity();

template <typename View>
View TokensOf(const View& x, int64_t batch, int64_t begin, int64_t end) {
  return x.Select(0, batch).Slice(0, begin, end);
}

absl::Status Read(const RankContext& context, ConstTensorView from,
                  std::vector<double>& numbers) {
  numbers.resize(from.element_count());
  return context.transfer().DownloadNumbers(from, absl::MakeSpan(numbers));
}

// Calls use(begin, end) for runs of tokens, the last ones first if `backwards`.
template <typename Use>
absl::Status ForEachRun(int64_t tokens, bool backwards, const Use& use) {
  const int64_t runs = (tokens + kTokens - 1) / kTokens;
  for (int64_t i = 0; i < runs; ++i) {
    const int64_t begin = (backwards ? runs - 1 - i : i) * kTokens;
    RETURN_IF_ERROR(use(begin, std::min(begin + kTokens, tokens)));
  }
  return absl::OkStatus();
}

double Dot(const double* x, const double* y, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i] * y[i];
  return sum;
}

}  // namespace

absl::Status RangeDecay::GatesOf(int64_t batch, int64_t begin, int64_t end,
                                 std::vector<double>& gates,
                                 int64_t heads) const {
  if (!log_gate_.is_null()) {
    return Read(context_, TokensOf(log_gate_, batch, begin, end), gates);
  }
  gates.assign((end - begin) * heads, 0.0);
  if (log_decays_.empty()) return absl::OkStatus();
  for (size_t i = 0; i < gates.size(); ++i) gates[i] = log_decays_[i % heads];
  return absl::OkStatus();
}

bool RangeDecay::StartsAt(int64_t token) const {
  return std::binary_search(documents_.starts,
                            documents_.starts + documents_.count, token);
}

absl::StatusOr<TensorView> RangeDecay::FromBegin(
    double factor, ConstTensorView x, TensorView buffer,
    std::vector<double>& before) const {
  return Scaled(factor, /*from_begin=*/true, x, buffer, before);
}

absl::StatusOr<TensorView> RangeDecay::ToEnd(ConstTensorView x,
                                             TensorView buffer,
                                             std::vector<double>& after) const {
  return Scaled(1.0, /*from_begin=*/false, x, buffer, after);
}

absl::StatusOr<TensorView> RangeDecay::Scaled(
    double factor, bool from_begin, ConstTensorView x, TensorView buffer,
    std::vector<double>& carried) const {
  const TensorView copy(buffer.data(), buffer.dtype(),
                        {x.size(0), x.size(1), x.size(2), x.size(3)});
  RETURN_IF_ERROR(
      context_.backend->elementwise().Copy(x, copy, *context_.stream));
  const int64_t heads = x.size(2);
  for (int64_t b = 0; b < x.size(0); ++b) {
    const absl::Span<double> decays =
        absl::MakeSpan(carried).subspan(b * heads, heads);
    RETURN_IF_ERROR(
        ForEachRun(x.size(1), !from_begin, [&](int64_t begin, int64_t end) {
          return ScaleRun(factor, from_begin, b, begin,
                          TokensOf(copy, b, begin, end), decays);
        }));
  }
  return copy;
}

absl::Status RangeDecay::ScaleRun(double factor, bool from_begin, int64_t batch,
                                  int64_t begin, TensorView run,
                                  absl::Span<double> decays) const {
  const int64_t tokens = run.size(0), heads = run.size(1), width = run.size(2);
  std::vector<double> numbers, gates;
  RETURN_IF_ERROR(Read(context_, run, numbers));
  RETURN_IF_ERROR(GatesOf(batch, begin, begin + tokens, gates, heads));
  for (int64_t i = 0; i < tokens; ++i) {
    const int64_t t = from_begin ? i : tokens - 1 - i;
    const bool starts = StartsAt(begin + t);
    for (int64_t h = 0; h < heads; ++h) {
      const double gate = starts ? kHidden : gates[t * heads + h];
      if (from_begin) decays[h] += gate;
      const double by = factor * std::exp(decays[h]);
      double* const row = numbers.data() + (t * heads + h) * width;
      for (int64_t c = 0; c < width; ++c) row[c] *= by;
      if (!from_begin) decays[h] += gate;
    }
  }
  return context_.transfer().UploadNumbers(numbers, run);
}

absl::Status AddSuffixes(const RankContext& context, double sign,
                         ConstTensorView x, ConstTensorView y,
                         TensorView d_log_gate, std::vector<double>& totals) {
  const int64_t heads = x.size(2), width = x.size(3);
  std::vector<double> of_x, of_y, gradients;
  std::vector<double> sums(totals.size());
  for (int64_t b = 0; b < x.size(0); ++b) {
    RETURN_IF_ERROR(ForEachRun(
        x.size(1), /*backwards=*/true,
        [&](int64_t begin, int64_t end) -> absl::Status {
          const TensorView run = TokensOf(d_log_gate, b, begin, end);
          RETURN_IF_ERROR(Read(context, TokensOf(x, b, begin, end), of_x));
          RETURN_IF_ERROR(Read(context, TokensOf(y, b, begin, end), of_y));
          RETURN_IF_ERROR(Read(context, run, gradients));
          for (int64_t i = (end - begin) * heads; i-- > 0;) {
            double& sum = sums[b * heads + i % heads];
            sum += sign *
                   Dot(of_x.data() + i * width, of_y.data() + i * width, width);
            gradients[i] += sum;
          }
          return context.transfer().UploadNumbers(gradients, run);
        }));
  }
  for (size_t i = 0; i < sums.size(); ++i) totals[i] += sums[i];
  return absl::OkStatus();
}

absl::Status AddToAllTokens(const RankContext& context,
                            const std::vector<double>& later,
                            TensorView d_log_gate) {
  const int64_t heads = d_log_gate.size(2);
  std::vector<double> gradients;
  for (int64_t b = 0; b < d_log_gate.size(0); ++b) {
    RETURN_IF_ERROR(ForEachRun(
        d_log_gate.size(1), /*backwards=*/false,
        [&](int64_t begin, int64_t end) -> absl::Status {
          const TensorView run = TokensOf(d_log_gate, b, begin, end);
          RETURN_IF_ERROR(Read(context, run, gradients));
          for (size_t i = 0; i < gradients.size(); ++i) {
            gradients[i] += later[b * heads + static_cast<int64_t>(i) % heads];
          }
          return context.transfer().UploadNumbers(gradients, run);
        }));
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
