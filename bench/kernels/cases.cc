#include "bench/kernels/cases.h"

#include <algorithm>
#include <memory>

#include "bench/kernels/attention_cases.h"
#include "bench/kernels/op_cases.h"
#include "common/base/check.h"

namespace longspan::bench {
namespace {

using kernels::DType;
using kernels::TensorView;

constexpr int64_t kTokens = 32768;
constexpr int64_t kRowsOfSum = 128;

std::string Rows(int64_t rows, int64_t columns) {
  return std::to_string(rows) + "x" + std::to_string(columns);
}

// An op over [rows, columns] operands: `inputs` read, `outputs` written.
struct RowOp {
  const char* name;
  int inputs;
  int outputs;
  std::function<void(BenchDevice&, const std::vector<TensorView>&,
                     const std::vector<TensorView>&)>
      run;
};

std::vector<RowOp> RowOps() {
  return {
      {"copy", 1, 1,
       [](BenchDevice& d, const auto& in, const auto& out) {
         LONGSPAN_CHECK_OK(
             d.backend().elementwise().Copy(in[0], out[0], d.stream()));
       }},
      {"add", 2, 1,
       [](BenchDevice& d, const auto& in, const auto& out) {
         LONGSPAN_CHECK_OK(
             d.backend().elementwise().Add(in[0], in[1], out[0], d.stream()));
       }},
      {"swiglu", 2, 1,
       [](BenchDevice& d, const auto& in, const auto& out) {
         LONGSPAN_CHECK_OK(d.backend().elementwise().SwiGlu(
             in[0], in[1], out[0], d.stream()));
       }},
      {"swiglu backward", 3, 2,
       [](BenchDevice& d, const auto& in, const auto& out) {
         LONGSPAN_CHECK_OK(d.backend().elementwise().SwiGluBackward(
             in[0], in[1], in[2], out[0], out[1], d.stream()));
       }},
  };
}

using Operands = std::pair<std::vector<TensorView>, std::vector<TensorView>>;

Operands MakeOperands(BenchDevice& device, const RowOp& op, DType dtype,
                      int64_t rows) {
  Operands operands;
  for (int i = 0; i < op.inputs; ++i) {
    operands.first.push_back(device.Random(dtype, {rows, kHidden}, -1.0, 1.0));
  }
  for (int i = 0; i < op.outputs; ++i) {
    operands.second.push_back(device.Zero(dtype, {rows, kHidden}));
  }
  return operands;
}

Case RowCase(const RowOp& op, DType dtype, int64_t rows) {
  Case result;
  result.op = op.name;
  result.size = Rows(rows, kHidden);
  result.set_bytes = rows * kHidden * (op.inputs + op.outputs) *
                     kernels::BytesPerElement(dtype);
  result.cost = StreamingCost(static_cast<double>(result.set_bytes));
  result.prepare = [=](BenchDevice& device, int sets) -> RunSet {
    auto all = std::make_shared<std::vector<Operands>>();
    for (int i = 0; i < sets; ++i) {
      all->push_back(MakeOperands(device, op, dtype, rows));
    }
    return [all, op, &device](int set) {
      op.run(device, (*all)[set].first, (*all)[set].second);
    };
  };
  return result;
}

struct NormSet {
  kernels::RmsNormInputs inputs;
  TensorView y, rstd;
};

Case RmsNormCase(DType dtype, int64_t rows) {
  Case result;
  result.op = "rms_norm";
  result.size = Rows(rows, kHidden);
  result.set_bytes = 2 * rows * kHidden * kernels::BytesPerElement(dtype);
  result.cost = StreamingCost(static_cast<double>(result.set_bytes) + 4 * rows);
  result.prepare = [=](BenchDevice& device, int sets) -> RunSet {
    auto all = std::make_shared<std::vector<NormSet>>();
    for (int i = 0; i < sets; ++i) {
      NormSet set;
      set.inputs.x = device.Random(dtype, {rows, kHidden}, -1.0, 1.0);
      set.inputs.weight = device.Random(DType::kF32, {kHidden}, 0.5, 1.5);
      set.y = device.Zero(dtype, {rows, kHidden});
      set.rstd = device.Zero(DType::kF32, {rows});
      all->push_back(set);
    }
    return [all, &device](int index) {
      const NormSet& set = (*all)[index];
      LONGSPAN_CHECK_OK(device.backend().elementwise().RmsNorm(
          set.inputs, set.y, set.rstd, device.stream()));
    };
  };
  return result;
}

struct Product {
  TensorView a, b, c;
};

// c [m, n] = a [m, k] b [n, k]^T, as the projections of a model do.
Case MatMulCase(DType dtype, int64_t m, int64_t n, int64_t k) {
  Case result;
  result.op = "matmul";
  result.size = Rows(m, n) + "x" + std::to_string(k);
  const int64_t element_bytes = kernels::BytesPerElement(dtype);
  result.cost = MatMulCost(m, n, k, element_bytes);
  result.set_bytes = static_cast<int64_t>(result.cost.floor_bytes);
  result.prepare = [=](BenchDevice& device, int sets) -> RunSet {
    auto all = std::make_shared<std::vector<Product>>();
    for (int i = 0; i < sets; ++i) {
      all->push_back({device.Random(dtype, {m, k}, -1.0, 1.0),
                      device.Random(dtype, {n, k}, -1.0, 1.0),
                      device.Zero(dtype, {m, n})});
    }
    return [all, &device](int set) {
      kernels::MatMulOptions options;
      options.transpose_b = true;
      const Product& p = (*all)[set];
      LONGSPAN_CHECK_OK(device.backend().dense().MatMul(p.a, p.b, p.c, options,
                                                        device.stream()));
    };
  };
  return result;
}

}  // namespace

std::vector<Case> AllCases(kernels::BackendKind backend, DType dtype,
                           int64_t tokens_divisor) {
  const int64_t rows = std::max<int64_t>(kTokens / tokens_divisor, kRowsOfSum);
  std::vector<Case> cases;
  for (const RowOp& op : RowOps()) cases.push_back(RowCase(op, dtype, rows));
  cases.push_back(RmsNormCase(dtype, rows));
  for (Case& one : OpCases(backend, dtype, rows)) {
    cases.push_back(std::move(one));
  }
  const int64_t square = std::max<int64_t>(8192 / tokens_divisor, 64);
  cases.push_back(MatMulCase(dtype, square, square, square));
  cases.push_back(MatMulCase(dtype, rows, kHidden, kHidden));
  for (auto* family :
       {&DecodeCases, &LinearAttentionCases, &SoftmaxAttentionCases}) {
    for (Case& one : (*family)(backend, dtype, tokens_divisor)) {
      cases.push_back(std::move(one));
    }
  }
  return cases;
}

}  // namespace longspan::bench
