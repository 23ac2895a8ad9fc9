#include "bench/kernels/op_cases.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "common/base/check.h"
#include "kernels/cost/workspace.h"

namespace longspan::bench {
namespace {

using kernels::BackendKind;
using kernels::DType;
using kernels::TensorView;

constexpr int64_t kHeads = 16;
constexpr int64_t kHeadDim = 128;
constexpr int64_t kVocabulary = 32000;
constexpr int64_t kTaps = 4;

// Allocates one set and returns the call on it.
using MakeSet = std::function<std::function<void()>(BenchDevice&)>;

Case MakeCase(std::string op, std::string size, const Cost& cost,
              double set_bytes, MakeSet make) {
  Case result;
  result.op = std::move(op);
  result.size = std::move(size);
  result.cost = cost;
  result.set_bytes = static_cast<int64_t>(set_bytes);
  result.prepare = [make](BenchDevice& device, int sets) -> RunSet {
    auto calls = std::make_shared<std::vector<std::function<void()>>>();
    for (int i = 0; i < sets; ++i) calls->push_back(make(device));
    return [calls](int set) { (*calls)[set](); };
  };
  return result;
}

std::string Size(int64_t rows, int64_t columns) {
  return std::to_string(rows) + "x" + std::to_string(columns);
}

// What every case of a kind shares.
struct Setting {
  BackendKind backend;
  DType dtype;
  int64_t rows;

  double element() const { return kernels::BytesPerElement(dtype); }
  double hidden_bytes() const { return element() * rows * kHidden; }
  DType sums() const { return kernels::AccumulatorOf(dtype); }
  TensorView Hidden(BenchDevice& d) const {
    return d.Random(dtype, {rows, kHidden}, -1.0, 1.0);
  }
  TensorView Workspace(BenchDevice& d, int64_t bytes) const {
    return bytes == 0 ? TensorView() : d.Zero(DType::kU8, {bytes});
  }
};

Case NormBackwardCase(const Setting& s) {
  const double bytes = 3 * s.hidden_bytes();
  return MakeCase(
      "rms_norm backward", Size(s.rows, kHidden), StreamingCost(bytes), bytes,
      [s](BenchDevice& d) -> std::function<void()> {
        kernels::RmsNormInputs in;
        in.x = s.Hidden(d);
        in.weight = d.Random(s.sums(), {kHidden}, 0.5, 1.5);
        const TensorView rstd = d.Random(s.sums(), {s.rows}, 0.5, 1.5);
        const TensorView d_y = s.Hidden(d);
        const kernels::RmsNormGradients out = {
            s.Hidden(d), d.Zero(s.sums(), {kHidden}), {}, false};
        const TensorView workspace = s.Workspace(
            d, kernels::RmsNormBackwardWorkspaceBytes(
                   s.rows, kHidden, kernels::BytesPerElement(s.dtype),
                   s.backend, 1));
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().elementwise().RmsNormBackward(
              in, rstd, d_y, out, workspace, d.stream()));
        };
      });
}

Case RotaryCase(const Setting& s) {
  const double bytes = 2 * s.hidden_bytes();
  return MakeCase(
      "rotary", Size(s.rows, kHidden), StreamingCost(bytes), bytes,
      [s](BenchDevice& d) -> std::function<void()> {
        const TensorView x =
            d.Random(s.dtype, {1, s.rows, kHeads, kHeadDim}, -1.0, 1.0);
        const TensorView y = d.Zero(s.dtype, {1, s.rows, kHeads, kHeadDim});
        const TensorView positions = d.Zero(DType::kI64, {s.rows});
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().elementwise().Rotary(
              x, positions, 10000.0, false, y, d.stream()));
        };
      });
}

Case GateCase(const Setting& s) {
  const double bytes = (s.element() + 4) * s.rows * kHeads;
  return MakeCase(
      "log_sigmoid_gate", Size(s.rows, kHeads), StreamingCost(bytes), bytes,
      [s](BenchDevice& d) -> std::function<void()> {
        const TensorView x = d.Random(s.dtype, {s.rows, kHeads}, -1.0, 1.0);
        const TensorView bias = d.Random(s.sums(), {kHeads}, -1.0, 1.0);
        const TensorView y = d.Zero(s.sums(), {s.rows, kHeads});
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().elementwise().LogSigmoidGate(
              x, bias, 16.0, y, d.stream()));
        };
      });
}

Case ConvolutionCase(const Setting& s, bool backward) {
  const double bytes = (backward ? 3 : 2) * s.hidden_bytes();
  return MakeCase(
      backward ? "short_convolution backward" : "short_convolution",
      Size(s.rows, kHidden), StreamingCost(bytes), bytes,
      [s, backward](BenchDevice& d) -> std::function<void()> {
        const auto tensor = [&] {
          return d.Random(s.dtype, {1, s.rows, kHidden}, -1.0, 1.0);
        };
        kernels::ShortConvolutionInputs in;
        in.x = tensor();
        in.weight = d.Random(s.sums(), {kHidden, kTaps}, -0.5, 0.5);
        in.silu = true;
        const TensorView y = tensor();
        if (!backward) {
          return [=, &d] {
            LONGSPAN_CHECK_OK(
                d.backend().short_convolution().Forward(in, y, d.stream()));
          };
        }
        const kernels::ShortConvolutionGradients out = {
            tensor(), d.Zero(s.sums(), {kHidden, kTaps}), {}};
        const TensorView workspace = s.Workspace(
            d, kernels::ShortConvolutionBackwardWorkspaceBytes(
                   1, s.rows, kHidden, kTaps, kernels::BytesPerElement(s.dtype),
                   s.backend, 1));
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().short_convolution().Backward(
              in, y, out, workspace, d.stream()));
        };
      });
}

Case EmbedCase(const Setting& s, bool backward) {
  const double bytes = s.hidden_bytes() * (backward ? 1 : 2) +
                       (backward ? 8.0 * s.rows * kHidden : 0.0);
  return MakeCase(
      backward ? "embed backward" : "embed", Size(s.rows, kHidden),
      StreamingCost(bytes), bytes,
      [s, backward](BenchDevice& d) -> std::function<void()> {
        std::vector<int32_t> numbers(s.rows);
        for (int64_t i = 0; i < s.rows; ++i) {
          numbers[i] = static_cast<int32_t>(i * 7919 % kVocabulary);
        }
        const TensorView ids = d.Zero(DType::kI32, {s.rows});
        LONGSPAN_CHECK_OK(d.backend().memory().CopyToDevice(
            numbers.data(), ids.data(), ids.byte_count(), d.stream()));
        const TensorView out = s.Hidden(d);
        const TensorView table = d.Random(backward ? s.sums() : s.dtype,
                                          {kVocabulary, kHidden}, -1.0, 1.0);
        return [=, &d] {
          kernels::Dense& op = d.backend().dense();
          LONGSPAN_CHECK_OK(backward
                                ? op.EmbedBackward(ids, out, table, d.stream())
                                : op.Embed(ids, table, out, d.stream()));
        };
      });
}

// The logits, and two more products backward; 10 bytes per logit of slabs.
Case LossCase(const Setting& s) {
  Cost cost;
  const double weight = s.element() * kVocabulary * kHidden;
  cost.floor_bytes =
      2 * s.hidden_bytes() + weight + 8.0 * kVocabulary * kHidden;
  cost.design_bytes = cost.floor_bytes + 10.0 * s.rows * kVocabulary;
  cost.operations = 6.0 * s.rows * kVocabulary * kHidden;
  cost.reachable = 0.64;  // 80 % of the rate, and the row passes between
  cost.launches = 40;
  return MakeCase(
      "cross_entropy forward+backward", Size(s.rows, kVocabulary), cost,
      cost.floor_bytes, [s](BenchDevice& d) -> std::function<void()> {
        kernels::CrossEntropyInputs in;
        in.hidden = s.Hidden(d);
        in.weight = d.Random(s.dtype, {kVocabulary, kHidden}, -0.02, 0.02);
        in.targets = d.Zero(DType::kI32, {s.rows});
        const kernels::CrossEntropyOutputs out = {d.Zero(DType::kF64, {1}), {}};
        const kernels::CrossEntropyGradients gradients = {
            d.Random(DType::kF32, {1}, 0.5, 1.5), s.Hidden(d),
            d.Zero(s.sums(), {kVocabulary, kHidden})};
        const TensorView workspace = s.Workspace(
            d, kernels::CrossEntropyWorkspaceBytes(
                   s.rows, kHidden, kVocabulary,
                   kernels::BytesPerElement(s.dtype), s.backend, 1));
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().cross_entropy().ForwardBackward(
              in, out, gradients, workspace, d.stream()));
        };
      });
}

Case AdamWCase(const Setting& s, int64_t parameters) {
  const bool narrow = s.dtype == DType::kBF16;
  const double bytes = (28.0 + (narrow ? 2.0 : 0.0)) * parameters;
  return MakeCase(
      "adamw", std::to_string(parameters), StreamingCost(bytes), bytes,
      [=](BenchDevice& d) -> std::function<void()> {
        kernels::AdamWTensor tensor;
        tensor.parameter = d.Random(DType::kF32, {parameters}, -1.0, 1.0);
        tensor.gradient = d.Random(DType::kF32, {parameters}, -1.0, 1.0);
        tensor.first_moment = d.Random(DType::kF32, {parameters}, -1.0, 1.0);
        tensor.second_moment = d.Random(DType::kF32, {parameters}, 0.5, 1.0);
        tensor.weight_decay = 0.1;
        if (narrow) tensor.compute_parameter = d.Zero(s.dtype, {parameters});
        const TensorView step = d.Zero(DType::kI64, {1});
        const int64_t one = 1;
        LONGSPAN_CHECK_OK(d.backend().memory().CopyToDevice(
            &one, step.data(), sizeof(one), d.stream()));
        const kernels::AdamWScalars scalars = {
            d.Random(DType::kF32, {1}, 1e-4, 2e-4),
            d.Random(DType::kF32, {1}, 0.5, 1.0), step};
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().optimizer().AdamW(
              absl::MakeConstSpan(&tensor, 1), scalars, {}, d.stream()));
        };
      });
}

Case SumOfSquaresCase(const Setting& s, int64_t elements) {
  const double bytes = 4.0 * elements;
  return MakeCase(
      "sum_of_squares", std::to_string(elements), StreamingCost(bytes), bytes,
      [=](BenchDevice& d) -> std::function<void()> {
        const kernels::ConstTensorView x =
            d.Random(DType::kF32, {elements}, -1.0, 1.0);
        const TensorView out = d.Zero(DType::kF64, {1});
        const TensorView workspace = s.Workspace(
            d, kernels::SumOfSquaresWorkspaceBytes(elements, s.backend, 1));
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().optimizer().SumOfSquares(
              absl::MakeConstSpan(&x, 1), out, workspace, d.stream()));
        };
      });
}

// Each slot's state is read and written.
Case LinearDecodeCase(DType dtype, int64_t slots) {
  const double state = 4.0 * slots * kHeads * kHeadDim * kHeadDim;
  return MakeCase(
      "linear scalar decode", "B" + std::to_string(slots) + "_H16_D128",
      StreamingCost(2 * state), state,
      [=](BenchDevice& d) -> std::function<void()> {
        const auto token = [&] {
          return d.Random(dtype, {slots, 1, kHeads, kHeadDim}, -1.0, 1.0);
        };
        kernels::LinearAttentionInputs in;
        in.transition = kernels::Transition::kScalar;
        in.scale = 1.0 / std::sqrt(static_cast<double>(kHeadDim));
        in.q = token();
        in.k = token();
        in.v = token();
        in.log_gate = d.Random(DType::kF32, {slots, 1, kHeads}, -0.1, 0.0);
        const TensorView o = token();
        std::vector<int32_t> numbers(slots);
        for (int64_t i = 0; i < slots; ++i) {
          numbers[i] = static_cast<int32_t>(i);
        }
        const TensorView ids = d.Zero(DType::kI32, {slots});
        LONGSPAN_CHECK_OK(d.backend().memory().CopyToDevice(
            numbers.data(), ids.data(), ids.byte_count(), d.stream()));
        const TensorView pool =
            d.Random(DType::kF32, {slots, kHeads, kHeadDim, kHeadDim}, -1, 1);
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().linear_attention().Decode(
              in, ids, pool, o, d.stream()));
        };
      });
}

// One query of 32 heads on 8 heads of keys.
Case SoftmaxDecodeCase(BackendKind backend, DType dtype, int64_t keys) {
  constexpr int64_t kQueryHeads = 32, kKeyHeads = 8;
  const int64_t element = kernels::BytesPerElement(dtype);
  const double bytes = 2.0 * element * keys * kKeyHeads * kHeadDim;
  Cost cost = StreamingCost(bytes);
  cost.operations = 4.0 * keys * kQueryHeads * kHeadDim;
  cost.launches = 2;  // parts of the keys, and their sum
  return MakeCase(
      "softmax decode", "T" + std::to_string(keys) + "_H32_G8_D128", cost,
      bytes, [=](BenchDevice& d) -> std::function<void()> {
        kernels::SoftmaxAttentionInputs in;
        in.scale = 1.0 / std::sqrt(static_cast<double>(kHeadDim));
        in.query_offset = keys - 1;
        in.q = d.Random(dtype, {1, 1, kQueryHeads, kHeadDim}, -1.0, 1.0);
        in.k = d.Random(dtype, {1, keys, kKeyHeads, kHeadDim}, -1.0, 1.0);
        in.v = d.Random(dtype, {1, keys, kKeyHeads, kHeadDim}, -1.0, 1.0);
        const TensorView o = d.Zero(dtype, {1, 1, kQueryHeads, kHeadDim});
        const TensorView lse = d.Zero(DType::kF32, {1, kQueryHeads, 1});
        const int64_t scratch = kernels::SoftmaxAttentionWorkspaceBytes(
            false, {1, 1, keys, kQueryHeads, kKeyHeads, kHeadDim, element},
            backend, 1);
        const TensorView workspace =
            scratch == 0 ? TensorView() : d.Zero(DType::kU8, {scratch});
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().softmax_attention().Forward(
              in, o, lse, workspace, d.stream()));
        };
      });
}

// A projection of a few tokens: the matrix is read, little else happens.
Case ThinProductCase(DType dtype, int64_t rows) {
  const double bytes =
      kernels::BytesPerElement(dtype) * static_cast<double>(kHidden) * kHidden;
  Cost cost = StreamingCost(bytes);
  cost.operations = 2.0 * rows * kHidden * kHidden;
  return MakeCase(
      "matmul decode", Size(rows, kHidden) + "x2048", cost, bytes,
      [=](BenchDevice& d) -> std::function<void()> {
        const TensorView a = d.Random(dtype, {rows, kHidden}, -1.0, 1.0);
        const TensorView b = d.Random(dtype, {kHidden, kHidden}, -1.0, 1.0);
        const TensorView c = d.Zero(dtype, {rows, kHidden});
        return [=, &d] {
          LONGSPAN_CHECK_OK(d.backend().dense().MatMul(
              a, b, c, {false, true, false}, d.stream()));
        };
      });
}

}  // namespace

std::vector<Case> OpCases(BackendKind backend, DType dtype, int64_t rows) {
  const Setting s = {backend, dtype, rows};
  const int64_t parameters = rows * 4096;
  return {NormBackwardCase(s),
          RotaryCase(s),
          GateCase(s),
          ConvolutionCase(s, false),
          ConvolutionCase(s, true),
          EmbedCase(s, false),
          EmbedCase(s, true),
          LossCase(s),
          AdamWCase(s, parameters),
          SumOfSquaresCase(s, parameters)};
}

std::vector<Case> DecodeCases(BackendKind backend, DType dtype,
                              int64_t tokens_divisor) {
  const int64_t keys = std::max<int64_t>(131072 / tokens_divisor, 16);
  return {LinearDecodeCase(dtype, 1), LinearDecodeCase(dtype, 64),
          SoftmaxDecodeCase(backend, dtype, keys), ThinProductCase(dtype, 1),
          ThinProductCase(dtype, 64)};
}

}  // namespace longspan::bench
