#include "tests/support/queued_device/queued_device.h"

#include <cstring>
#include <string>

#include "common/base/check.h"
#include "kernels/api/host_memory.h"
#include "tests/support/queued_device/queued_stream.h"

namespace longspan::testing {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::Stream;
using kernels::TensorView;

void Submit(Stream& stream, QueuedStream::Task task) {
  static_cast<QueuedStream&>(stream).Submit(std::move(task));
}

class QueuedMemory : public kernels::HostMemory {
 public:
  absl::Status CopyToDevice(const void* host, void* device, int64_t bytes,
                            Stream& stream) override {
    const std::string bytes_of_host(static_cast<const char*>(host), bytes);
    Submit(stream, [bytes_of_host, device] {
      std::memcpy(device, bytes_of_host.data(), bytes_of_host.size());
      return absl::OkStatus();
    });
    return absl::OkStatus();
  }
  absl::Status CopyToHost(const void* device, void* host, int64_t bytes,
                          Stream& stream) override {
    return Copy(device, host, bytes, stream);
  }
  absl::Status Copy(const void* from, void* to, int64_t bytes,
                    Stream& stream) override {
    Submit(stream, [from, to, bytes] {
      std::memcpy(to, from, bytes);
      return absl::OkStatus();
    });
    return absl::OkStatus();
  }
  bool host_accessible() const override { return false; }
};

template <typename T>
absl::Status AddNow(ConstTensorView a, ConstTensorView b, TensorView out) {
  const T* const x = a.data_as<T>();
  const T* const y = b.data_as<T>();
  T* const sum = out.data_as<T>();
  for (int64_t i = 0; i < out.element_count(); ++i) sum[i] = x[i] + y[i];
  return absl::OkStatus();
}

absl::Status Refuse(const char* op) {
  LONGSPAN_CHECK(false) << "the queued device has no " << op;
  return absl::OkStatus();
}

class QueuedElementwise : public kernels::Elementwise {
 public:
  absl::Status Add(ConstTensorView a, ConstTensorView b, TensorView out,
                   Stream& stream) override {
    Submit(stream, [a, b, out] {
      return out.dtype() == DType::kF64 ? AddNow<double>(a, b, out)
                                        : AddNow<float>(a, b, out);
    });
    return absl::OkStatus();
  }

  absl::Status RmsNorm(const kernels::RmsNormInputs&, TensorView, TensorView,
                       Stream&) override {
    return Refuse("RmsNorm");
  }
  absl::Status RmsNormBackward(const kernels::RmsNormInputs&, ConstTensorView,
                               ConstTensorView,
                               const kernels::RmsNormGradients&, TensorView,
                               Stream&) override {
    return Refuse("RmsNormBackward");
  }
  absl::Status Rotary(ConstTensorView, ConstTensorView, double, bool,
                      TensorView, Stream&) override {
    return Refuse("Rotary");
  }
  absl::Status Silu(ConstTensorView, TensorView, Stream&) override {
    return Refuse("Silu");
  }
  absl::Status SiluBackward(ConstTensorView, ConstTensorView, TensorView,
                            Stream&) override {
    return Refuse("SiluBackward");
  }
  absl::Status SwiGlu(ConstTensorView, ConstTensorView, TensorView,
                      Stream&) override {
    return Refuse("SwiGlu");
  }
  absl::Status SwiGluBackward(ConstTensorView, ConstTensorView, ConstTensorView,
                              TensorView, TensorView, Stream&) override {
    return Refuse("SwiGluBackward");
  }
  absl::Status LogSigmoidGate(ConstTensorView, ConstTensorView, double,
                              TensorView, Stream&) override {
    return Refuse("LogSigmoidGate");
  }
  absl::Status LogSigmoidGateBackward(ConstTensorView, ConstTensorView, double,
                                      ConstTensorView, TensorView, TensorView,
                                      Stream&) override {
    return Refuse("LogSigmoidGateBackward");
  }
  absl::Status SetZero(TensorView, Stream&) override {
    return Refuse("SetZero");
  }
  absl::Status Copy(ConstTensorView, TensorView, Stream&) override {
    return Refuse("Copy");
  }
  absl::Status Scale(ConstTensorView, ConstTensorView, TensorView,
                     Stream&) override {
    return Refuse("Scale");
  }
};

// The families that no process group uses.
template <typename Family>
Family& Missing(const char* name) {
  LONGSPAN_CHECK(false) << "the queued device has no " << name;
  return *static_cast<Family*>(nullptr);
}

class QueuedDevice : public kernels::Backend {
 public:
  std::string name() const override { return "queued"; }
  std::string instruction_set() const override { return "host"; }
  absl::StatusOr<std::unique_ptr<Stream>> CreateStream(int) override {
    return std::make_unique<QueuedStream>();
  }
  kernels::DeviceMemory& memory() override { return memory_; }
  kernels::Elementwise& elementwise() override { return elementwise_; }

  kernels::LinearAttention& linear_attention() override {
    return Missing<kernels::LinearAttention>("linear attention");
  }
  kernels::SoftmaxAttention& softmax_attention() override {
    return Missing<kernels::SoftmaxAttention>("softmax attention");
  }
  kernels::Dense& dense() override { return Missing<kernels::Dense>("GEMM"); }
  kernels::CrossEntropy& cross_entropy() override {
    return Missing<kernels::CrossEntropy>("cross-entropy");
  }
  kernels::ShortConvolution& short_convolution() override {
    return Missing<kernels::ShortConvolution>("short convolution");
  }
  kernels::FeatureMaps& feature_maps() override {
    return Missing<kernels::FeatureMaps>("feature maps");
  }
  kernels::TokenGates& token_gates() override {
    return Missing<kernels::TokenGates>("token gates");
  }
  kernels::Optimizer& optimizer() override {
    return Missing<kernels::Optimizer>("optimizer");
  }
  kernels::Sampling& sampling() override {
    return Missing<kernels::Sampling>("sampling");
  }

 private:
  QueuedMemory memory_;
  QueuedElementwise elementwise_;
};

}  // namespace

std::unique_ptr<kernels::Backend> CreateQueuedDevice() {
  return std::make_unique<QueuedDevice>();
}

}  // namespace longspan::testing
