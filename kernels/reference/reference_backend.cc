#include "kernels/reference/reference_backend.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "kernels/api/host_memory.h"
#include "kernels/reference/reference_ops.h"

namespace longspan::kernels {
namespace {

class ReferenceStream : public Stream {
 public:
  absl::Status Synchronize() override { return absl::OkStatus(); }
};

class ReferenceBackend : public Backend {
 public:
  std::string name() const override { return "reference"; }
  std::string instruction_set() const override { return "none"; }

  absl::StatusOr<std::unique_ptr<Stream>> CreateStream(int threads) override {
    if (threads < 1) {
      return absl::InvalidArgumentError(
          "a stream needs at least 1 thread, not " + std::to_string(threads));
    }
    return std::unique_ptr<Stream>(std::make_unique<ReferenceStream>());
  }

  DeviceMemory& memory() override { return memory_; }

  LinearAttention& linear_attention() override { return *linear_attention_; }
  SoftmaxAttention& softmax_attention() override { return *softmax_attention_; }
  Dense& dense() override { return *dense_; }
  CrossEntropy& cross_entropy() override { return *cross_entropy_; }
  Elementwise& elementwise() override { return *elementwise_; }
  ShortConvolution& short_convolution() override { return *short_convolution_; }
  FeatureMaps& feature_maps() override { return *feature_maps_; }
  TokenGates& token_gates() override { return *token_gates_; }
  Optimizer& optimizer() override { return *optimizer_; }
  Sampling& sampling() override { return *sampling_; }

 private:
  // Immutable after construction.
  const std::unique_ptr<LinearAttention> linear_attention_ =
      CreateReferenceLinearAttention();
  const std::unique_ptr<SoftmaxAttention> softmax_attention_ =
      CreateReferenceSoftmaxAttention();
  const std::unique_ptr<Dense> dense_ = CreateReferenceDense();
  const std::unique_ptr<CrossEntropy> cross_entropy_ =
      CreateReferenceCrossEntropy();
  const std::unique_ptr<Elementwise> elementwise_ =
      CreateReferenceElementwise();
  const std::unique_ptr<ShortConvolution> short_convolution_ =
      CreateReferenceShortConvolution();
  const std::unique_ptr<FeatureMaps> feature_maps_ =
      CreateReferenceFeatureMaps();
  const std::unique_ptr<TokenGates> token_gates_ = CreateReferenceTokenGates();
  const std::unique_ptr<Optimizer> optimizer_ = CreateReferenceOptimizer();
  const std::unique_ptr<Sampling> sampling_ = CreateReferenceSampling();
  HostMemory memory_;
};

}  // namespace

std::unique_ptr<Backend> CreateReferenceBackend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace longspan::kernels
