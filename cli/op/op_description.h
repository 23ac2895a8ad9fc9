// What `longspan op` knows of an op: its tensors, flags and equation, and how
// to call it. One description per op, one file per family; op_table.h lists
// them. Help, the list, the checks of a file's tensors, the tests and
// docs/support.md are made from these descriptions.
//
// Names carry meaning: the gradient of the tensor `x` is `d_x`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace longspan::cli {

class OpCall;

enum class TensorRole {
  kInput,         // must be there
  kOptional,      // may be there
  kSeed,          // d_ of an output: asks for the backward op
  kOptionalSeed,  // the same, zero when only other seeds are there
  kOutput,        // written by the forward op, unless OpCall::Choose says no
  kGradient  // written by the backward op, if the input without d_ is there
};

enum class TensorType {
  kOperand,  // the type that the op is run in: f32, f64 or bf16
  kSum,      // what is summed beside operands: f32 beside bf16, else the same
  kF64,
  kF32,
  kI32,
  kI64
};

struct OpTensor {
  TensorRole role = TensorRole::kInput;
  std::string name;
  TensorType type = TensorType::kOperand;
  // Sizes by name, "B T H Dk"; alternatives, told apart by their number of
  // sizes, "B T H | B T H Dk"; sizes next to another, "K-1"; any leading
  // sizes, "* N". Empty: those of the tensor without d_.
  std::string shape;
  std::string meaning;
  // Numbers of examples: uniform from low to high; whole numbers count up
  // from `low` and start again before `high`.
  double low = -1.0;
  double high = 1.0;
  // Numbers outside are refused, also those that are not below this size.
  std::optional<double> at_least = {};
  std::optional<double> at_most = {};
  std::string below = {};
};

enum class FlagKind { kNumber, kInteger, kChoice, kSwitch };

struct OpFlag {
  std::string name;  // "scale"
  FlagKind kind = FlagKind::kNumber;
  std::string meaning;
  std::vector<std::string> choices = {};  // kChoice
};

// One way to call the op, with tensors of a few numbers: what tests run, and
// what backends are asked for to tell what they support.
struct OpVariant {
  std::string name;  // "vector gates"
  std::map<std::string, std::string> flags = {};
  // Optional tensors that take part, optional gradients among them; and which
  // of a tensor's alternative shapes.
  std::map<std::string, int> tensors = {};
  std::map<std::string, int64_t> sizes = {};  // that differ from the op's
};

struct OpDescription {
  std::string name;
  std::string equation;  // lines for people
  std::vector<OpTensor> tensors;
  std::vector<OpFlag> flags;
  std::map<std::string, int64_t> example_sizes;
  std::vector<OpVariant> variants;

  // Sets sizes that follow from flags and others; may be null.
  std::function<absl::Status(OpCall&)> sizes;
  std::function<absl::Status(OpCall&)> forward;
  std::function<absl::Status(OpCall&)> backward;  // null: none
};

// The description whose shape a tensor has: its own or that of the tensor
// without d_.
const OpTensor& ShapeGiver(const OpDescription& op, const OpTensor& tensor);

// Read from the file; gradients of outputs among them.
bool IsRead(TensorRole role);
bool IsSeed(TensorRole role);

}  // namespace longspan::cli
