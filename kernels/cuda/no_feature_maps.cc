// The CUDA backend has none of the maps of kernels/api/feature_map.h yet and
// says so by name; validation and planning refuse such models before a job
// gets here.
#include <memory>
#include <string>

#include "kernels/api/feature_map.h"
#include "kernels/cuda/cuda_ops.h"

namespace longspan::kernels::cuda {
namespace {

absl::Status Refusal(const std::string& what) {
  return absl::UnimplementedError("the backend cuda has no " + what +
                                  "; the backend cpu has it");
}

absl::Status MapRefusal(const FeatureMapInputs& inputs) {
  return Refusal(std::string("feature map ") + FeatureMapName(inputs.kind));
}

class NoFeatureMaps : public FeatureMaps {
 public:
  absl::Status Map(const FeatureMapInputs& inputs, TensorView,
                   Stream&) override {
    return MapRefusal(inputs);
  }
  absl::Status MapBackward(const FeatureMapInputs& inputs, ConstTensorView,
                           const FeatureMapGradients&, TensorView,
                           Stream&) override {
    return MapRefusal(inputs);
  }
  absl::Status AppendOnes(ConstTensorView, TensorView, Stream&) override {
    return Refusal("normaliser of linear attention");
  }
  absl::Status Normalise(ConstTensorView, double, TensorView,
                         Stream&) override {
    return Refusal("normaliser of linear attention");
  }
  absl::Status NormaliseBackward(ConstTensorView, double, ConstTensorView,
                                 TensorView, Stream&) override {
    return Refusal("normaliser of linear attention");
  }
};

}  // namespace

std::unique_ptr<FeatureMaps> CreateCudaFeatureMaps() {
  return std::make_unique<NoFeatureMaps>();
}

}  // namespace longspan::kernels::cuda
