#include "cli/op/op_table.h"

#include <utility>

#include "cli/op/op_families.h"

namespace longspan::cli {
namespace {

std::vector<OpDescription> MakeTable() {
  std::vector<OpDescription> table;
  for (auto family : {LinearAttentionOps, SoftmaxAttentionOps, FeatureMapOps,
                      TokenGateOps, ElementwiseOps, ShortConvolutionOps,
                      DenseOps, SamplingOps, OptimizerOps}) {
    for (OpDescription& op : family()) table.push_back(std::move(op));
  }
  return table;
}

}  // namespace

const std::vector<OpDescription>& OpTable() {
  static const auto& table = *new std::vector<OpDescription>(MakeTable());
  return table;
}

const OpDescription* FindOp(const std::string& name) {
  for (const OpDescription& op : OpTable()) {
    if (op.name == name) return &op;
  }
  return nullptr;
}

std::vector<std::string> OpNames() {
  std::vector<std::string> names;
  for (const OpDescription& op : OpTable()) names.push_back(op.name);
  return names;
}

}  // namespace longspan::cli
