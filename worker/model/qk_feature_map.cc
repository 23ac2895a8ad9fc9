#include "worker/model/qk_feature_map.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::FeatureMapKind;
using kernels::TensorView;

FeatureMapKind KindOf(FeatureMap map) {
  switch (map) {
    case FeatureMap::kElu:
      return FeatureMapKind::kEluPlusOne;
    case FeatureMap::kRelu:
      return FeatureMapKind::kRelu;
    case FeatureMap::kSoftmax:
      return FeatureMapKind::kSoftmax;
    case FeatureMap::kTaylor:
      return FeatureMapKind::kTaylor;
    case FeatureMap::kQuadratic:
      return FeatureMapKind::kQuadratic;
    case FeatureMap::kHedgehogExp:
      return FeatureMapKind::kHedgehogExp;
    case FeatureMap::kHedgehogSoftmax:
      return FeatureMapKind::kHedgehogSoftmax;
    case FeatureMap::kHedgehogHalves:
      return FeatureMapKind::kHedgehogHalves;
    case FeatureMap::kHadamard:
      return FeatureMapKind::kHadamard;
    case FeatureMap::kDpfp:
      return FeatureMapKind::kDpfp;
    case FeatureMap::kUnit:
      return FeatureMapKind::kUnit;
    case FeatureMap::kIdentity:
    case FeatureMap::kSilu:
      break;
  }
  LONGSPAN_CHECK(false) << FeatureMapName(map) << " is not of this family";
  return FeatureMapKind::kRelu;
}

bool IsSilu(const LinearLayerForm& form) {
  return form.feature_map == FeatureMap::kSilu;
}

}  // namespace

QkFeatureMap::QkFeatureMap(const LinearAttentionSpec& spec,
                           const std::string& prefix,
                           const Parameters& parameters)
    : heads_(spec.key_heads), form_(FormOf(spec)) {
  if (!exists() || IsSilu(form_)) return;
  const std::vector<MapParameter> learned =
      MapParameters(form_.feature_map, spec.key_dim);
  for (const MapParameter& part : learned) parameter_count_ += part.count();
  std::vector<std::string> prefixes = MapPrefixes(form_);
  if (learned.empty()) prefixes.resize(1);
  for (const std::string& map : prefixes) {
    Learned& one = maps_.emplace_back();
    one.values.kind = KindOf(form_.feature_map);
    const std::vector<ConstTensorView*> values = {
        &one.values.weight, &one.values.bias, &one.values.second_weight,
        &one.values.second_bias};
    const std::vector<TensorView*> gradients = {
        &one.gradients.d_weight, &one.gradients.d_bias,
        &one.gradients.d_second_weight, &one.gradients.d_second_bias};
    for (size_t i = 0; i < learned.size(); ++i) {
      const std::string name = prefix + map + learned[i].name;
      *values[i] = parameters.Value(name);
      *gradients[i] = parameters.Gradient(name);
    }
  }
}

ConstTensorView QkFeatureMap::Part(ConstTensorView rows, int64_t index) const {
  const int64_t columns = rows.size(1) / parts();
  return rows.Slice(1, index * columns, (index + 1) * columns)
      .SplitLast(HeadsOfPart());
}

TensorView QkFeatureMap::Part(TensorView rows, int64_t index) const {
  const int64_t columns = rows.size(1) / parts();
  return rows.Slice(1, index * columns, (index + 1) * columns)
      .SplitLast(HeadsOfPart());
}

absl::Status QkFeatureMap::Forward(const RankContext& context,
                                   ConstTensorView x, TensorView y) const {
  if (IsSilu(form_)) {
    return context.backend->elementwise().Silu(x, y, *context.stream);
  }
  for (int64_t i = 0; i < parts(); ++i) {
    kernels::FeatureMapInputs inputs = maps_[i].values;
    inputs.x = Part(x, i);
    RETURN_IF_ERROR(context.backend->feature_maps().Map(inputs, Part(y, i),
                                                        *context.stream));
  }
  return absl::OkStatus();
}

absl::Status QkFeatureMap::Backward(const RankContext& context,
                                    ConstTensorView x, ConstTensorView d_y,
                                    TensorView d_x,
                                    TensorView workspace) const {
  if (IsSilu(form_)) {
    return context.backend->elementwise().SiluBackward(x, d_y, d_x,
                                                       *context.stream);
  }
  for (int64_t i = 0; i < parts(); ++i) {
    kernels::FeatureMapInputs inputs = maps_[i].values;
    inputs.x = Part(x, i);
    kernels::FeatureMapGradients gradients = maps_[i].gradients;
    gradients.d_x = Part(d_x, i);
    RETURN_IF_ERROR(context.backend->feature_maps().MapBackward(
        inputs, Part(d_y, i), gradients, workspace, *context.stream));
  }
  return absl::OkStatus();
}

int64_t QkFeatureMap::BackwardWorkspaceBytes(const RankContext& context,
                                             int64_t rows) const {
  if (maps_.empty()) return 0;
  return kernels::FeatureMapBackwardWorkspaceBytes(
      rows * HeadsOfPart(), parameter_count_, context.element_bytes(),
      context.backend_kind);
}

}  // namespace longspan::worker
