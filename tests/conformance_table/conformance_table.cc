// Prints, for every case of the one list of each op family, how far the
// backend cpu is from the reference and how far it may be:
//
//   longspan-conformance-table [f32|f64]        both, without a word
//
// Errors are RMS over RMS. Where a bound is not the type's own (the first line
// of a table) it stands behind the error: "2.1e-06 < 3.0e-05". Below all cases
// of a type, of each list the one that is nearest to its bound. Exit status 1
// when an error is above its bound.
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/kernels/ops/op_case.h"
#include "tests/support/attention/linear_attention_bounds.h"
#include "tests/support/attention/softmax_attention_cases.h"

namespace longspan::kernels {
namespace {

// The row of a list that is nearest to its bound.
struct Nearest {
  std::string list;
  int cases = 0;
  std::string row;
  ComparedTensor tensor;

  void Consider(const std::string& name, const ComparedTensor& other) {
    if (other.error / other.bound < Share()) return;
    row = name;
    tensor = other;
  }
  double Share() const {
    return row.empty() ? 0.0 : tensor.error / tensor.bound;
  }
};

// Rows on stdout; remembers whether any error was above its bound.
class Table {
 public:
  explicit Table(DType dtype)
      : dtype_(dtype), bound_(RelativeRmsBound(dtype)) {}

  void Title(const std::string& what) {
    std::cout << absl::StrFormat(
        "\n## %s, %s, %s against reference, bound %.0e\n\n", what,
        DTypeName(dtype_), InstructionSetName(BestInstructionSet()), bound_);
    lists_.emplace_back();
    lists_.back().list = what;
  }

  void Row(const std::string& name,
           const std::vector<ComparedTensor>& compared) {
    std::string line = name;
    ++lists_.back().cases;
    for (const ComparedTensor& tensor : compared) {
      lists_.back().Consider(name, tensor);
      absl::StrAppendFormat(&line, "  %s %.1e", tensor.name, tensor.error);
      if (tensor.bound != bound_) {
        absl::StrAppendFormat(&line, " < %.1e", tensor.bound);
      }
      if (tensor.error <= tensor.bound) continue;
      line += " TOO FAR";
      too_far_ = true;
    }
    std::cout << line << "\n";
    ++rows_;
  }

  void Summary() const {
    std::cout << absl::StrFormat(
        "\n## Nearest to their bounds, %s, %s\n\n"
        "| list | cases | case | tensor | error | bound |\n"
        "|---|---:|---|---|---:|---:|\n",
        DTypeName(dtype_), InstructionSetName(BestInstructionSet()));
    for (const Nearest& list : lists_) {
      std::cout << absl::StrFormat(
          "| %s | %d | %s | `%s` | %.1e | %.1e |\n", list.list, list.cases,
          list.row, list.tensor.name, list.tensor.error, list.tensor.bound);
    }
  }

  DType dtype() const { return dtype_; }
  double bound() const { return bound_; }
  int rows() const { return rows_; }
  bool too_far() const { return too_far_; }

 private:
  const DType dtype_;
  const double bound_;
  std::vector<Nearest> lists_;
  int rows_ = 0;
  bool too_far_ = false;
};

void AddLinearAttention(Table& table, const char* title,
                        const std::vector<LinearAttentionCase>& cases) {
  const auto reference = CreateReferenceLinearAttention();
  const auto cpu = CreateCpuLinearAttention();
  CpuStream stream(1);
  table.Title(title);
  for (const LinearAttentionCase& c : cases) {
    const LinearAttentionProblem problem(c, table.dtype());
    table.Row(c.name,
              CompareResults(
                  problem,
                  problem.Run(*cpu, stream, BackendKind::kCpu, 1, Passes::kOne),
                  problem.Run(*reference, stream, BackendKind::kReference, 1,
                              Passes::kOne)));
  }
}

// Queries that see no key have minus infinity in both.
double LseError(std::vector<double> actual, std::vector<double> expected) {
  for (size_t i = 0; i < actual.size(); ++i) {
    if (!std::isinf(actual[i]) || actual[i] != expected[i]) continue;
    actual[i] = expected[i] = 0.0;
  }
  return RelativeRms(actual, expected);
}

void AddSoftmaxAttention(Table& table) {
  const auto reference = CreateReferenceSoftmaxAttention();
  const auto cpu = CreateCpuSoftmaxAttention();
  CpuStream stream(1);
  table.Title("softmax attention");
  for (const SoftmaxAttentionCase& c : SoftmaxAttentionCases()) {
    const SoftmaxAttentionProblem problem(c, table.dtype());
    const SoftmaxAttentionResults a =
        problem.Run(*cpu, stream, BackendKind::kCpu, 1);
    const SoftmaxAttentionResults b =
        problem.Run(*reference, stream, BackendKind::kReference, 1);
    table.Row(c.name, {{"o", RelativeRms(a.o, b.o), table.bound()},
                       {"lse", LseError(a.lse, b.lse), table.bound()},
                       {"d_q", RelativeRms(a.d_q, b.d_q), table.bound()},
                       {"d_k", RelativeRms(a.d_k, b.d_k), table.bound()},
                       {"d_v", RelativeRms(a.d_v, b.d_v), table.bound()}});
  }
}

void RunCase(const OpCase& op, OpSet& ops, Operands& operands) {
  LONGSPAN_CHECK_OK(op.forward(ops, operands));
  if (op.backward) LONGSPAN_CHECK_OK(op.backward(ops, operands));
}

void AddOps(Table& table, const char* title, const std::vector<OpCase>& cases) {
  OpSet reference = ReferenceOps();
  OpSet cpu = CpuOps(1);
  table.Title(title);
  for (const OpCase& op : cases) {
    Operands expected(op.operands, DType::kF64);
    Operands actual(op.operands, table.dtype());
    RunCase(op, reference, expected);
    RunCase(op, cpu, actual);
    std::vector<ComparedTensor> compared;
    for (const Operand& operand : op.operands) {
      if (operand.role == Role::kInput) continue;
      compared.push_back({operand.name,
                          RelativeRms(actual.Values(operand.name),
                                      expected.Values(operand.name)),
                          table.bound()});
    }
    table.Row(op.name, compared);
  }
}

bool Print(DType dtype) {
  Table table(dtype);
  AddLinearAttention(table, "linear attention: identity, constant, scalar",
                     LinearAttentionCases());
  AddLinearAttention(table, "linear attention: vector", VectorGateCases());
  AddLinearAttention(table, "linear attention: dense", DenseCases());
  AddLinearAttention(table, "linear attention: shared keys", SharedKeyCases());
  AddLinearAttention(table, "linear attention: snapshots", SnapshotCases());
  AddSoftmaxAttention(table);
  AddOps(table, "ops", OpCases());
  AddOps(table, "convolutions with a bias", BiasedConvolutionCases());
  AddOps(table, "feature maps", FeatureMapCases());
  AddOps(table, "token gates", TokenGateCases());
  table.Summary();
  std::cout << "\n"
            << table.rows() << " cases in " << DTypeName(dtype)
            << (table.too_far() ? ", some TOO FAR\n" : ", all within bounds\n");
  return !table.too_far();
}

}  // namespace
}  // namespace longspan::kernels

int main(int argc, char** argv) {
  using longspan::kernels::DType;
  const std::string only = argc > 1 ? argv[1] : "";
  bool good = true;
  if (only != "f32") good = longspan::kernels::Print(DType::kF64);
  if (only != "f64") good = longspan::kernels::Print(DType::kF32) && good;
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
