#include <vector>

#include "tests/support/device_mirror/device_mirror.h"

namespace longspan::kernels {
namespace {

class MirroredDense : public Dense {
 public:
  explicit MirroredDense(Backend& backend) : backend_(backend) {}

  absl::Status MatMul(ConstTensorView a, ConstTensorView b, TensorView c,
                      const MatMulOptions& options, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(
        backend_.dense().MatMul(m.In(a), m.In(b), m.Out(c), options, stream));
  }
  absl::Status Embed(ConstTensorView ids, ConstTensorView table, TensorView out,
                     Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(
        backend_.dense().Embed(m.In(ids), m.In(table), m.Out(out), stream));
  }
  absl::Status EmbedBackward(ConstTensorView ids, ConstTensorView d_out,
                             TensorView d_table, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(backend_.dense().EmbedBackward(m.In(ids), m.In(d_out),
                                                   m.Out(d_table), stream));
  }

 private:
  Backend& backend_;
};

class MirroredCrossEntropy : public CrossEntropy {
 public:
  explicit MirroredCrossEntropy(Backend& backend) : backend_(backend) {}

  absl::Status Forward(const CrossEntropyInputs& inputs,
                       const CrossEntropyOutputs& outputs, TensorView workspace,
                       Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(backend_.cross_entropy().Forward(
        Inputs(m, inputs), {m.Out(outputs.loss), m.Out(outputs.nll)},
        m.Scratch(workspace), stream));
  }
  absl::Status ForwardBackward(const CrossEntropyInputs& inputs,
                               const CrossEntropyOutputs& outputs,
                               const CrossEntropyGradients& gradients,
                               TensorView workspace, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(backend_.cross_entropy().ForwardBackward(
        Inputs(m, inputs), {m.Out(outputs.loss), m.Out(outputs.nll)},
        {m.In(gradients.grad_scale), m.Out(gradients.d_hidden),
         m.Out(gradients.d_weight)},
        m.Scratch(workspace), stream));
  }

 private:
  static CrossEntropyInputs Inputs(DeviceMirror& m,
                                   const CrossEntropyInputs& inputs) {
    return {m.In(inputs.hidden), m.In(inputs.weight), m.In(inputs.targets),
            m.In(inputs.token_weights)};
  }

  Backend& backend_;
};

class MirroredElementwise : public Elementwise {
 public:
  explicit MirroredElementwise(Backend& backend)
      : backend_(backend), op_(backend.elementwise()) {}

  absl::Status RmsNorm(const RmsNormInputs& inputs, TensorView y,
                       TensorView rstd, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(
        op_.RmsNorm(Inputs(m, inputs), m.Out(y), m.Out(rstd), stream));
  }
  absl::Status RmsNormBackward(const RmsNormInputs& inputs,
                               ConstTensorView rstd, ConstTensorView d_y,
                               const RmsNormGradients& gradients,
                               TensorView workspace, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    RmsNormGradients on_device = gradients;
    on_device.d_x = m.Out(gradients.d_x);
    on_device.d_weight = m.Out(gradients.d_weight);
    on_device.d_gate = m.Out(gradients.d_gate);
    return m.Finish(op_.RmsNormBackward(Inputs(m, inputs), m.In(rstd),
                                        m.In(d_y), on_device,
                                        m.Scratch(workspace), stream));
  }
  absl::Status Rotary(ConstTensorView x, ConstTensorView positions, double base,
                      bool inverse, TensorView y, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(
        op_.Rotary(m.In(x), m.In(positions), base, inverse, m.Out(y), stream));
  }
  absl::Status Silu(ConstTensorView x, TensorView y, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Silu(m.In(x), m.Out(y), stream));
  }
  absl::Status SiluBackward(ConstTensorView x, ConstTensorView d_y,
                            TensorView d_x, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.SiluBackward(m.In(x), m.In(d_y), m.Out(d_x), stream));
  }
  absl::Status SwiGlu(ConstTensorView gate, ConstTensorView up, TensorView y,
                      Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.SwiGlu(m.In(gate), m.In(up), m.Out(y), stream));
  }
  absl::Status SwiGluBackward(ConstTensorView gate, ConstTensorView up,
                              ConstTensorView d_y, TensorView d_gate,
                              TensorView d_up, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.SwiGluBackward(m.In(gate), m.In(up), m.In(d_y),
                                       m.Out(d_gate), m.Out(d_up), stream));
  }
  absl::Status LogSigmoidGate(ConstTensorView x, ConstTensorView bias,
                              double normalizer, TensorView y,
                              Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(
        op_.LogSigmoidGate(m.In(x), m.In(bias), normalizer, m.Out(y), stream));
  }
  absl::Status LogSigmoidGateBackward(ConstTensorView x, ConstTensorView bias,
                                      double normalizer, ConstTensorView d_y,
                                      TensorView d_x, TensorView d_bias,
                                      Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.LogSigmoidGateBackward(m.In(x), m.In(bias), normalizer,
                                               m.In(d_y), m.Out(d_x),
                                               m.Out(d_bias), stream));
  }
  absl::Status Add(ConstTensorView a, ConstTensorView b, TensorView out,
                   Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Add(m.In(a), m.In(b), m.Out(out), stream));
  }
  absl::Status SetZero(TensorView x, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.SetZero(m.Out(x), stream));
  }
  absl::Status Copy(ConstTensorView from, TensorView to,
                    Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Copy(m.In(from), m.Out(to), stream));
  }
  absl::Status Scale(ConstTensorView x, ConstTensorView factor, TensorView y,
                     Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Scale(m.In(x), m.In(factor), m.Out(y), stream));
  }

 private:
  static RmsNormInputs Inputs(DeviceMirror& m, RmsNormInputs inputs) {
    inputs.x = m.In(inputs.x);
    inputs.weight = m.In(inputs.weight);
    inputs.gate = m.In(inputs.gate);
    return inputs;
  }

  Backend& backend_;
  Elementwise& op_;
};

class MirroredShortConvolution : public ShortConvolution {
 public:
  explicit MirroredShortConvolution(Backend& backend) : backend_(backend) {}

  absl::Status Forward(const ShortConvolutionInputs& inputs, TensorView y,
                       Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(backend_.short_convolution().Forward(Inputs(m, inputs),
                                                         m.Out(y), stream));
  }
  absl::Status Backward(const ShortConvolutionInputs& inputs,
                        ConstTensorView d_y,
                        const ShortConvolutionGradients& gradients,
                        TensorView workspace, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(backend_.short_convolution().Backward(
        Inputs(m, inputs), m.In(d_y),
        {m.Out(gradients.d_x), m.Out(gradients.d_weight),
         m.Out(gradients.d_halo)},
        m.Scratch(workspace), stream));
  }

 private:
  static ShortConvolutionInputs Inputs(DeviceMirror& m,
                                       ShortConvolutionInputs inputs) {
    inputs.x = m.In(inputs.x);
    inputs.weight = m.In(inputs.weight);
    inputs.halo = m.In(inputs.halo);
    inputs.documents = m.In(inputs.documents);
    return inputs;
  }

  Backend& backend_;
};

class MirroredOptimizer : public Optimizer {
 public:
  explicit MirroredOptimizer(Backend& backend) : backend_(backend) {}

  absl::Status AdamW(absl::Span<const AdamWTensor> tensors,
                     const AdamWScalars& scalars, const AdamWOptions& options,
                     Stream& stream) override {
    DeviceMirror m(backend_, stream);
    std::vector<AdamWTensor> on_device(tensors.begin(), tensors.end());
    for (AdamWTensor& tensor : on_device) {
      tensor.parameter = m.Out(tensor.parameter);
      tensor.gradient = m.In(tensor.gradient);
      tensor.first_moment = m.Out(tensor.first_moment);
      tensor.second_moment = m.Out(tensor.second_moment);
      tensor.compute_parameter = m.Out(tensor.compute_parameter);
    }
    return m.Finish(backend_.optimizer().AdamW(
        on_device,
        {m.In(scalars.learning_rate), m.In(scalars.clip_factor),
         m.In(scalars.step)},
        options, stream));
  }
  absl::Status SumOfSquares(absl::Span<const ConstTensorView> tensors,
                            TensorView out, TensorView workspace,
                            Stream& stream) override {
    DeviceMirror m(backend_, stream);
    std::vector<ConstTensorView> on_device;
    for (const ConstTensorView& tensor : tensors) {
      on_device.push_back(m.In(tensor));
    }
    return m.Finish(backend_.optimizer().SumOfSquares(
        on_device, m.Out(out), m.Scratch(workspace), stream));
  }
  absl::Status ClipFactor(ConstTensorView sum_of_squares, double max_norm,
                          TensorView factor, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(backend_.optimizer().ClipFactor(
        m.In(sum_of_squares), max_norm, m.Out(factor), stream));
  }

 private:
  Backend& backend_;
};

class MirroredSampling : public Sampling {
 public:
  explicit MirroredSampling(Backend& backend) : backend_(backend) {}

  absl::Status Sample(const SamplingInputs& inputs,
                      const SamplingOutputs& outputs, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(backend_.sampling().Sample(
        {m.In(inputs.logits), m.In(inputs.temperature), m.In(inputs.top_k),
         m.In(inputs.top_p), m.In(inputs.uniform)},
        {m.Out(outputs.ids), m.Out(outputs.log_probabilities)}, stream));
  }

 private:
  Backend& backend_;
};

}  // namespace

std::unique_ptr<Dense> MirrorDense(Backend& backend) {
  return std::make_unique<MirroredDense>(backend);
}
std::unique_ptr<CrossEntropy> MirrorCrossEntropy(Backend& backend) {
  return std::make_unique<MirroredCrossEntropy>(backend);
}
std::unique_ptr<Elementwise> MirrorElementwise(Backend& backend) {
  return std::make_unique<MirroredElementwise>(backend);
}
std::unique_ptr<ShortConvolution> MirrorShortConvolution(Backend& backend) {
  return std::make_unique<MirroredShortConvolution>(backend);
}
std::unique_ptr<Optimizer> MirrorOptimizer(Backend& backend) {
  return std::make_unique<MirroredOptimizer>(backend);
}

std::unique_ptr<Sampling> MirrorSampling(Backend& backend) {
  return std::make_unique<MirroredSampling>(backend);
}

}  // namespace longspan::kernels
