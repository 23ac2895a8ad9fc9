// Tensors of a few numbers for each variant of an op, and what a backend says
// to them: what it supports, found by asking it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/op/execute_op.h"
#include "cli/op/named_tensor.h"
#include "cli/op/op_call.h"
#include "cli/op/op_description.h"

namespace longspan::cli {

enum class Passes { kForward, kForwardBackward };

// The same numbers for every type, rounded to it.
std::vector<OwnedTensor> ExampleTensors(const OpDescription& op,
                                        const OpVariant& variant,
                                        kernels::DType dtype, Passes passes);

// Runs the example; its results, or the backend's refusal.
absl::StatusOr<std::vector<OwnedTensor>> RunExample(const OpDescription& op,
                                                    const OpVariant& variant,
                                                    kernels::DType dtype,
                                                    Passes passes,
                                                    const OpPlace& place);

// The types that the variant runs in, and why it does not run in the others
// (the first reason of f32, f64, bf16; empty if there is none).
struct SupportedTypes {
  std::vector<kernels::DType> types;
  std::string refusal;
};
SupportedTypes FindSupportedTypes(const OpDescription& op,
                                  const OpVariant& variant, Passes passes,
                                  const OpPlace& place);

// "f32, bf16"; "-" for none.
std::string TypeNames(const std::vector<kernels::DType>& types);

}  // namespace longspan::cli
