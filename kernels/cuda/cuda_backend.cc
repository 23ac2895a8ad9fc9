#include "kernels/cuda/cuda_backend.h"

#include <string>
#include <utility>

#include "common/base/status_macros.h"
#include "kernels/cuda/cuda_memory.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/device_support.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"

namespace longspan::kernels::cuda {
namespace {

std::string Capability(const DeviceProperties& properties) {
  return std::to_string(properties.major) + "." +
         std::to_string(properties.minor);
}

class CudaBackend : public Backend {
 public:
  CudaBackend(int device, DeviceProperties properties)
      : device_(device),
        properties_(std::move(properties)),
        memory_(device, properties_.memory_bytes) {}

  std::string name() const override { return "cuda"; }
  std::string instruction_set() const override {
    return properties_.name + " (compute capability " +
           Capability(properties_) + ")";
  }

  // Threads are the CPU backend's: a GPU stream has none.
  absl::StatusOr<std::unique_ptr<Stream>> CreateStream(int threads) override {
    if (threads < 1) {
      return absl::InvalidArgumentError(
          "a stream needs at least 1 thread, not " + std::to_string(threads));
    }
    return CudaStream::Create(device_, properties_);
  }

  DeviceMemory& memory() override { return memory_; }
  int device() const override { return device_; }

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
  const int device_;
  const DeviceProperties properties_;
  CudaMemory memory_;
  const std::unique_ptr<Gemm> gemm_ = CreateGemm();
  const std::unique_ptr<LinearAttention> linear_attention_ =
      CreateCudaLinearAttention();
  const std::unique_ptr<SoftmaxAttention> softmax_attention_ =
      CreateCudaSoftmaxAttention();
  const std::unique_ptr<Dense> dense_ = CreateCudaDense(*gemm_);
  const std::unique_ptr<CrossEntropy> cross_entropy_ =
      CreateCudaCrossEntropy(*gemm_);
  const std::unique_ptr<Elementwise> elementwise_ = CreateCudaElementwise();
  const std::unique_ptr<ShortConvolution> short_convolution_ =
      CreateCudaShortConvolution();
  const std::unique_ptr<FeatureMaps> feature_maps_ = CreateCudaFeatureMaps();
  const std::unique_ptr<TokenGates> token_gates_ = CreateCudaTokenGates();
  const std::unique_ptr<Optimizer> optimizer_ = CreateCudaOptimizer();
  const std::unique_ptr<Sampling> sampling_ = CreateCudaSampling();
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> CreateCudaBackend(int device) {
  ASSIGN_OR_RETURN(const int count, DeviceCount());
  if (device < 0 || device >= count) {
    return absl::UnavailableError("CUDA device " + std::to_string(device) +
                                  " does not exist; this process sees " +
                                  std::to_string(count));
  }
  ASSIGN_OR_RETURN(DeviceProperties properties, GetDeviceProperties(device));
  RETURN_IF_ERROR(CheckDeviceSupport(device, properties));
  RETURN_IF_ERROR(UseDevice(device));
  return std::unique_ptr<Backend>(
      std::make_unique<CudaBackend>(device, std::move(properties)));
}

}  // namespace longspan::kernels::cuda
