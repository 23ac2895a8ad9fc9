#include "absl/strings/str_cat.h"
#include "kernels/cost/workspace.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

// c = op(a) op(b) and the two products of its gradient, with c's seed d_c:
// d_op(a) = d_c op(b)^T, d_op(b) = op(a)^T d_c.
absl::Status ProductGradients(OpSet& ops, Operands& t, bool ta, bool tb) {
  absl::Status status;
  if (ta) {
    status = ops.dense->MatMul(t["b"], t["d_c"], t["d_a"],
                               {.transpose_a = tb, .transpose_b = true},
                               *ops.stream);
  } else {
    status = ops.dense->MatMul(t["d_c"], t["b"], t["d_a"], {.transpose_b = !tb},
                               *ops.stream);
  }
  if (!status.ok()) return status;
  if (tb) {
    return ops.dense->MatMul(t["d_c"], t["a"], t["d_b"],
                             {.transpose_a = true, .transpose_b = ta},
                             *ops.stream);
  }
  return ops.dense->MatMul(t["a"], t["d_c"], t["d_b"], {.transpose_a = !ta},
                           *ops.stream);
}

OpCase MatMulCase(int64_t m, int64_t n, int64_t k, bool ta, bool tb,
                  bool accumulate, bool strided) {
  OpCase result;
  result.name = absl::StrCat("MatMul_", m, "x", n, "x", k, ta ? "_T" : "_N",
                             tb ? "T" : "N", accumulate ? "_accumulate" : "",
                             strided ? "_strided" : "");
  const std::vector<int64_t> a =
      ta ? std::vector<int64_t>{k, m} : std::vector<int64_t>{m, k};
  const std::vector<int64_t> b =
      tb ? std::vector<int64_t>{n, k} : std::vector<int64_t>{k, n};
  result.operands = {
      {"a", Role::kInput, a, strided},
      {"b", Role::kInput, b, strided},
      {"c", accumulate ? Role::kAccumulated : Role::kOutput, {m, n}, strided},
      {"d_c", Role::kInput, {m, n}, strided},
      {"d_a", Role::kOutput, a, strided},
      {"d_b", Role::kOutput, b, strided}};
  result.forward = [=](OpSet& ops, Operands& t) {
    return ops.dense->MatMul(t["a"], t["b"], t["c"], {ta, tb, accumulate},
                             *ops.stream);
  };
  result.backward = [=](OpSet& ops, Operands& t) {
    return ProductGradients(ops, t, ta, tb);
  };
  return result;
}

OpCase EmbedCase(int64_t rows, int64_t size, bool strided) {
  OpCase result;
  result.name = absl::StrCat("Embed_", rows, "x", size);
  std::vector<double> ids;
  for (int64_t i = 0; i < rows; ++i) ids.push_back((i * i + 3) % 11);
  result.operands = {{"ids", Role::kInput, {rows}, false, ids, DType::kI32},
                     {"table", Role::kInput, {11, size}, strided},
                     {"out", Role::kOutput, {rows, size}, strided},
                     {"d_out", Role::kInput, {rows, size}, strided},
                     {"d_table", Role::kAccumulated, {11, size}, strided}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.dense->Embed(t["ids"], t["table"], t["out"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.dense->EmbedBackward(t["ids"], t["d_out"], t["d_table"],
                                    *ops.stream);
  };
  return result;
}

struct HeadShape {
  int64_t rows, size, vocabulary;
  bool weighted = false;
  bool nll = true;
  bool strided = false;
};

CrossEntropyInputs HeadInputs(const Operands& t) {
  return {t["hidden"], t["weight"], t["targets"], t["token_weights"]};
}

TensorView HeadWorkspace(OpSet& ops, Operands& t) {
  return t.Workspace(CrossEntropyWorkspaceBytes(
      t["hidden"].size(0), t["hidden"].size(1), t["weight"].size(0),
      BytesPerElement(t.real_type()), ops.kind, 1));
}

OpCase CrossEntropyCase(const HeadShape& s) {
  OpCase result;
  result.name =
      absl::StrCat("CrossEntropy_", s.rows, "x", s.size, "x", s.vocabulary,
                   s.weighted ? "_weighted" : "", s.nll ? "" : "_no_nll",
                   s.strided ? "_strided" : "");
  std::vector<double> targets;
  for (int64_t i = 0; i < s.rows; ++i) {
    targets.push_back(i % 5 == 3 ? -1 : (i * 7) % s.vocabulary);
  }
  result.operands = {
      {"hidden", Role::kInput, {s.rows, s.size}, s.strided},
      {"weight", Role::kInput, {s.vocabulary, s.size}, s.strided},
      {"targets", Role::kInput, {s.rows}, false, targets, DType::kI32},
      {"loss", Role::kOutput, {1}, false, {}, DType::kF64, true},
      {"grad_scale", Role::kInput, {1}, false, {0.375}, DType::kF32, true},
      {"d_hidden", Role::kOutput, {s.rows, s.size}, s.strided},
      {"d_weight", Role::kAccumulated, {s.vocabulary, s.size}, s.strided}};
  if (s.weighted) {
    result.operands.push_back(
        {"token_weights", Role::kInput, {s.rows}, false, {0.5, 0.0, 2.0}});
  }
  if (s.nll) result.operands.push_back({"nll", Role::kOutput, {s.rows}});
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.cross_entropy->Forward(HeadInputs(t), {t["loss"], t["nll"]},
                                      HeadWorkspace(ops, t), *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.cross_entropy->ForwardBackward(
        HeadInputs(t), {t["loss"], t["nll"]},
        {t["grad_scale"], t["d_hidden"], t["d_weight"]}, HeadWorkspace(ops, t),
        *ops.stream);
  };
  result.seeds = {{"loss", "grad_scale"}};
  return result;
}

}  // namespace

std::vector<OpCase> DenseOpCases() {
  std::vector<OpCase> cases;
  for (bool ta : {false, true}) {
    for (bool tb : {false, true}) {
      for (bool accumulate : {false, true}) {
        cases.push_back(MatMulCase(7, 5, 3, ta, tb, accumulate, true));
        cases.push_back(MatMulCase(1, 9, 4, ta, tb, accumulate, false));
        cases.push_back(MatMulCase(19, 34, 300, ta, tb, accumulate, true));
        cases.push_back(MatMulCase(131, 67, 33, ta, tb, accumulate, false));
      }
    }
  }
  cases.push_back(EmbedCase(1, 3, false));
  cases.push_back(EmbedCase(70, 100, true));
  cases.push_back(CrossEntropyCase({.rows = 6, .size = 5, .vocabulary = 9}));
  cases.push_back(CrossEntropyCase({.rows = 11,
                                    .size = 8,
                                    .vocabulary = 19,
                                    .weighted = true,
                                    .strided = true}));
  cases.push_back(
      CrossEntropyCase({.rows = 4, .size = 3, .vocabulary = 33, .nll = false}));
  cases.push_back(CrossEntropyCase(
      {.rows = 700, .size = 6, .vocabulary = 21, .weighted = true}));
  return cases;
}

// The loss has more rows than one slab holds.
std::vector<OpCase> LargeDenseCases() {
  return {MatMulCase(259, 512, 1024, false, true, false, false),
          MatMulCase(512, 256, 777, false, false, true, false),
          MatMulCase(384, 1024, 256, true, false, true, true),
          EmbedCase(5000, 512, false),
          CrossEntropyCase({.rows = 4200, .size = 24, .vocabulary = 2003}),
          CrossEntropyCase(
              {.rows = 300, .size = 64, .vocabulary = 8192, .weighted = true})};
}

}  // namespace longspan::kernels
