#include "cli/op/describe_op.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "cli/op/op_example.h"
#include "cli/op/op_table.h"
#include "cli/op/tensor_shape.h"

namespace longspan::cli {
namespace {

std::string Indented(const std::string& text) {
  std::string lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::StrAppend(&lines, "    ", line, "\n");
  }
  return lines;
}

const char* TypeText(TensorType type) {
  switch (type) {
    case TensorType::kOperand:
      return "operand";
    case TensorType::kSum:
      return "sum";
    case TensorType::kF64:
      return "f64";
    case TensorType::kF32:
      return "f32";
    case TensorType::kI32:
      return "i32";
    case TensorType::kI64:
      return "i64";
  }
  return "";
}

std::string Meaning(const OpTensor& tensor) {
  switch (tensor.role) {
    case TensorRole::kOptional:
      return absl::StrCat("optional; ", tensor.meaning);
    case TensorRole::kSeed:
      return absl::StrCat("gradient of ", tensor.name.substr(2),
                          ": runs backward, too");
    case TensorRole::kOptionalSeed:
      return absl::StrCat("gradient of ", tensor.name.substr(2), ", default 0");
    case TensorRole::kGradient:
      return absl::StrCat("backward, if ", tensor.name.substr(2), " is there");
    default:
      return tensor.meaning;
  }
}

std::string TensorLines(const OpDescription& op, bool read) {
  std::string lines;
  for (const OpTensor& tensor : op.tensors) {
    if (IsRead(tensor.role) != read) continue;
    absl::StrAppendFormat(
        &lines, "  %-16s %-8s %s  %s\n", tensor.name, TypeText(tensor.type),
        ShapeText(ShapeGiver(op, tensor).shape), Meaning(tensor));
  }
  return lines;
}

std::string SupportLines(const OpDescription& op,
                         const std::vector<ListedBackend>& backends) {
  const Passes passes =
      op.backward ? Passes::kForwardBackward : Passes::kForward;
  std::string lines;
  for (const OpVariant& variant : op.variants) {
    std::string line;
    for (const ListedBackend& backend : backends) {
      if (backend.place.backend == nullptr) continue;
      absl::StrAppend(
          &line, line.empty() ? "" : "; ", backend.name, " ",
          TypeNames(
              FindSupportedTypes(op, variant, passes, backend.place).types));
    }
    absl::StrAppendFormat(&lines, "  %-28s %s\n", variant.name, line);
  }
  return lines;
}

}  // namespace

std::string DescribeOp(const OpDescription& op) {
  return absl::StrCat(
      Indented(op.equation), "\nIt reads:\n", TensorLines(op, true),
      "It writes:\n", TensorLines(op, false),
      "Sums are f32 beside bf16 operands, else of the operands' type.\n");
}

std::string ListOps(const std::vector<ListedBackend>& backends) {
  std::string text;
  for (const OpDescription& op : OpTable()) {
    absl::StrAppend(&text, op.name, "\n", DescribeOp(op), "It runs",
                    op.backward ? ", forward and backward" : "", ":\n",
                    SupportLines(op, backends), "\n");
  }
  for (const ListedBackend& backend : backends) {
    if (backend.place.backend != nullptr) continue;
    absl::StrAppend(&text, "The backend ", backend.name,
                    " was not asked: ", backend.reason, "\n");
  }
  return text;
}

}  // namespace longspan::cli
