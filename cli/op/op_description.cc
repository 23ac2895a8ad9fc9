#include "cli/op/op_description.h"

#include "common/base/check.h"

namespace longspan::cli {

const OpTensor& ShapeGiver(const OpDescription& op, const OpTensor& tensor) {
  if (!tensor.shape.empty()) return tensor;
  const std::string name = tensor.name.substr(2);
  for (const OpTensor& giver : op.tensors) {
    if (giver.name == name) return giver;
  }
  LONGSPAN_CHECK(false) << op.name << " has no tensor " << name;
  return tensor;
}

bool IsRead(TensorRole role) {
  return role != TensorRole::kOutput && role != TensorRole::kGradient;
}

bool IsSeed(TensorRole role) {
  return role == TensorRole::kSeed || role == TensorRole::kOptionalSeed;
}

}  // namespace longspan::cli
