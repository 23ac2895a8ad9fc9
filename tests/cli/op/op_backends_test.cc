// Every op and variant through the command: the backends agree with the
// reference in double, and lists and help know all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cli/op/op_example.h"
#include "cli/op/op_table.h"
#include "common/base/check.h"
#include "kernels/select/backend_registry.h"
#include "tests/cli/op/op_files.h"

namespace longspan::cli {
namespace {

using kernels::DType;
using testing::HasSubstr;

struct Example {
  const OpDescription* op;
  const OpVariant* variant;
};

std::vector<Example> Examples() {
  std::vector<Example> examples;
  for (const OpDescription& op : OpTable()) {
    for (const OpVariant& variant : op.variants) {
      examples.push_back({&op, &variant});
    }
  }
  return examples;
}

std::string NameOf(const testing::TestParamInfo<Example>& info) {
  std::string name = info.param.op->name + "_" + info.param.variant->name;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

bool IsSwitch(const OpDescription& op, const std::string& name) {
  for (const OpFlag& flag : op.flags) {
    if (flag.name == name) return flag.kind == FlagKind::kSwitch;
  }
  return false;
}

bool Holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The transition that the backend cuda has no kernels for, if that is what the
// example needs.
std::string MissingTransition(const std::string& variant) {
  if (Holds(variant, "delta rule") || Holds(variant, "matrices")) {
    return "the delta rule";
  }
  return Holds(variant, "vector") ? "vector gates" : "";
}

// The entry point that speaks for an op of linear attention.
const std::map<std::string, std::string>& EntryPoints() {
  static const auto& points = *new std::map<std::string, std::string>(
      {{"linear_attention", "Outputs"},
       {"linear_attention_summary", "Summarise"},
       {"linear_attention_fold", "FoldSummaries"},
       {"linear_attention_decode", "Decode"}});
  return points;
}

// What the backend cpu says of bf16 operands; empty: it takes them.
std::string RefusalOfBf16(const Example& example) {
  const std::string& variant = example.variant->name;
  const std::string missing = MissingTransition(variant);
  if (example.op->name == "linear_attention_decode") return "";
  if (missing.empty()) {
    if (!Holds(variant, "shared keys")) return "";
    return "Gradients: on the CPU, 4 heads that share 2 of q and k need f32 or "
           "f64 operands, not bf16";
  }
  return EntryPoints().at(example.op->name) + ": on the CPU, " + missing +
         (missing == "vector gates" ? " need" : " needs") +
         " f32 or f64 operands, not bf16";
}

// What the backend cuda says of grouped values and snapshots.
std::string RefusalOfShape(const std::string& variant) {
  if (Holds(variant, "shared keys")) {
    return "Outputs: 2 heads of q and k for 4 of v, the cuda backend needs as "
           "many; repeat q and k, or use the cpu backend";
  }
  if (Holds(variant, "snapshots")) {
    return "Outputs: the cuda backend has no prefix snapshots; call it for 64 "
           "tokens at a time, or use the cpu backend";
  }
  return "";
}

// What the backend cuda says of what it does not have; empty: it has it.
std::string RefusalOfCuda(const Example& example) {
  static const std::map<std::string, std::string> kGates = {
      {"sigmoid", "Sigmoid"},
      {"softplus_gate", "SoftplusGate"},
      {"forget_gate", "ForgetGate"},
      {"bounded_forget_gate", "BoundedForgetGate"},
      {"sigmoid_product", "SigmoidProduct"},
      {"step_product", "StepProduct"},
      {"add_skip", "AddSkip"}};
  const std::string& op = example.op->name;
  const std::string& variant = example.variant->name;
  if (EntryPoints().count(op) > 0) {
    const std::string missing = MissingTransition(variant);
    if (missing.empty()) return RefusalOfShape(variant);
    return EntryPoints().at(op) + ": the cuda backend has no kernels for " +
           missing + "; the cpu backend has them";
  }
  if (kGates.count(op) > 0) {
    return "the backend cuda has no " + kGates.at(op) +
           "; the backend cpu has it";
  }
  if (op == "short_convolution" && variant == "bias") {
    return "the backend cuda has no bias of ShortConvolution; the backend cpu "
           "has it";
  }
  if (op == "softmax_attention_merge") {
    return "SoftmaxAttentionMerge has no CUDA kernel; the backend cpu merges";
  }
  if (op == "feature_map") {
    return "the backend cuda has no feature map " + variant +
           "; the backend cpu has it";
  }
  if (op == "normalise") {
    return "the backend cuda has no normaliser of linear attention; the "
           "backend cpu has it";
  }
  return "";
}

bool IsWhole(const OpDescription& op, const std::string& name) {
  for (const OpTensor& tensor : op.tensors) {
    if (tensor.name != name) continue;
    return tensor.type == TensorType::kI32 || tensor.type == TensorType::kI64;
  }
  return false;
}

class OpBackendsTest : public testing::TestWithParam<Example> {
 protected:
  // The example's tensors in `type`, run by the command.
  static CommandOutput Run(DType type, const std::string& backend) {
    const OpDescription& op = *GetParam().op;
    const OpVariant& variant = *GetParam().variant;
    std::vector<std::string> words = {"--backend", backend};
    for (const auto& [flag, value] : variant.flags) {
      words.push_back("--" + flag);
      if (!IsSwitch(op, flag)) words.push_back(value);
    }
    const Passes passes =
        op.backward ? Passes::kForwardBackward : Passes::kForward;
    return RunOpOn(op.name, ExampleTensors(op, variant, type, passes), words);
  }

  // A backend against the reference in double. Operands of a narrow type are
  // rounded before either sees them. Or its `refusal`, word by word.
  static void Compare(DType type, const std::string& backend, double tolerance,
                      const std::string& refusal = "") {
    const CommandOutput expected_output = Run(DType::kF64, "reference");
    ASSERT_EQ(expected_output.code, 0) << expected_output.err;
    const auto expected = ReadTensors(OpFile("out"));
    const CommandOutput output = Run(type, backend);
    if (!refusal.empty()) {
      EXPECT_EQ(output.code, 2);
      EXPECT_EQ(output.err, "longspan: " + refusal + "\n");
      return;
    }
    ASSERT_EQ(output.code, 0) << output.err;
    const auto actual = ReadTensors(OpFile("out"));
    EXPECT_GE(actual.size(), 1u);
    ASSERT_EQ(actual.size(), expected.size());
    for (const auto& [name, values] : expected) {
      if (IsWhole(*GetParam().op, name)) {
        EXPECT_EQ(actual.at(name), values) << name;
      }
      EXPECT_LE(RelativeRms(actual.at(name), values), tolerance) << name;
    }
  }
};

TEST_P(OpBackendsTest, CpuInDouble) { Compare(DType::kF64, "cpu", 1e-10); }
TEST_P(OpBackendsTest, CpuInSingle) { Compare(DType::kF32, "cpu", 1e-5); }
// Products of f32 operands are those of TF32 or of split bf16.
TEST_P(OpBackendsTest, Cuda) {
  Compare(DType::kF32, "cuda", 1e-2, RefusalOfCuda(GetParam()));
}
// Half of bf16's last bit in operands, a few of which meet.
TEST_P(OpBackendsTest, ReferenceOfRounded) {
  Compare(DType::kBF16, "reference", 0.03);
}

INSTANTIATE_TEST_SUITE_P(Ops, OpBackendsTest, testing::ValuesIn(Examples()),
                         NameOf);

// Those of linear attention with operands, which bf16 may be.
std::vector<Example> LinearExamples() {
  std::vector<Example> examples;
  for (const Example& example : Examples()) {
    const std::string& op = example.op->name;
    if (EntryPoints().count(op) > 0 && op != "linear_attention_fold") {
      examples.push_back(example);
    }
  }
  return examples;
}

class OpBf16Test : public OpBackendsTest {};

TEST_P(OpBf16Test, CpuOfRounded) {
  Compare(DType::kBF16, "cpu", 0.03, RefusalOfBf16(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Ops, OpBf16Test, testing::ValuesIn(LinearExamples()),
                         NameOf);

TEST(OpListTest, ListsEveryOpAndVariant) {
  const CommandOutput output = Longspan({"op", "--list"});
  EXPECT_EQ(output.code, 0);
  for (const Example& example : Examples()) {
    EXPECT_THAT(output.out, HasSubstr("\n  " + example.variant->name + " "));
    EXPECT_THAT(output.out, HasSubstr(example.op->equation.substr(0, 10)));
  }
  EXPECT_THAT(output.out, HasSubstr("cpu f32, f64"));
  EXPECT_THAT(output.out, HasSubstr("cuda f32, bf16"));
}

TEST(OpListTest, EveryOpHasHelp) {
  for (const OpDescription& op : OpTable()) {
    const CommandOutput output = Longspan({"op", op.name, "--help"});
    EXPECT_EQ(output.code, 0);
    for (const OpTensor& tensor : op.tensors) {
      EXPECT_THAT(output.out, HasSubstr("\n  " + tensor.name + " "));
    }
    for (const OpFlag& flag : op.flags) {
      EXPECT_THAT(output.out, HasSubstr("--" + flag.name));
    }
  }
}

TEST(OpTableTest, NamesAreNamesOfOneThing) {
  std::set<std::string> ops;
  for (const OpDescription& op : OpTable()) {
    EXPECT_TRUE(ops.insert(op.name).second) << op.name;
    EXPECT_FALSE(op.variants.empty()) << op.name;
    std::set<std::string> tensors;
    for (const OpTensor& tensor : op.tensors) {
      EXPECT_TRUE(tensors.insert(tensor.name).second) << tensor.name;
    }
  }
}

}  // namespace
}  // namespace longspan::cli
