// The feature map of q and k (kernels/api/feature_map.h) as part of a layer:
// one map for both, or one each, with parameters where the map learns.
//
//     [q | k]  [M, 2 H Dk]   ->   [phi(q) | phi(k)]  [M, 2 H F]
//
// Parameters: feature_map_q.layer.weight and the like (fla's names), or
// feature_map.gamma for a map that q and k share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/model_spec/linear_layer_form.h"
#include "kernels/api/feature_map.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/parameters.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

class QkFeatureMap {
 public:
  // `prefix`: "model.layers.0.attn.".
  QkFeatureMap(const LinearAttentionSpec& spec, const std::string& prefix,
               const Parameters& parameters);

  // Whether there is anything to do.
  bool exists() const { return form_.feature_map != FeatureMap::kIdentity; }

  absl::Status Forward(const RankContext& context, kernels::ConstTensorView x,
                       kernels::TensorView y) const;
  absl::Status Backward(const RankContext& context, kernels::ConstTensorView x,
                        kernels::ConstTensorView d_y, kernels::TensorView d_x,
                        kernels::TensorView workspace) const;

  // For M rows.
  int64_t BackwardWorkspaceBytes(const RankContext& context,
                                 int64_t rows) const;

 private:
  // The learned part of one map, null where there is none.
  struct Learned {
    kernels::FeatureMapInputs values;
    kernels::FeatureMapGradients gradients;
  };

  // Maps that the columns are cut into: one for q and one for k, or both as
  // one.
  int64_t parts() const { return static_cast<int64_t>(maps_.size()); }
  int64_t HeadsOfPart() const { return 2 * heads_ / parts(); }
  // The heads of part `index` of a row of q and k.
  kernels::ConstTensorView Part(kernels::ConstTensorView rows,
                                int64_t index) const;
  kernels::TensorView Part(kernels::TensorView rows, int64_t index) const;

  const int64_t heads_;
  const LinearLayerForm form_;
  int64_t parameter_count_ = 0;  // of one map
  std::vector<Learned> maps_;
};

}  // namespace longspan::worker
