#include "tests/support/device_mirror/device_mirror.h"

namespace longspan::kernels {
namespace {

class MirroredLinearAttention : public LinearAttention {
 public:
  explicit MirroredLinearAttention(Backend& backend)
      : backend_(backend), op_(backend.linear_attention()) {}

  absl::Status Summarise(const LinearAttentionInputs& inputs,
                         const LinearAttentionSummary& summary,
                         TensorView workspace, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Summarise(
        Inputs(m, inputs), {m.Out(summary.state), m.Out(summary.log_decay)},
        m.Scratch(workspace), stream));
  }

  absl::Status Outputs(const LinearAttentionInputs& inputs,
                       ConstTensorView initial_state, ChunkTerms terms,
                       const LinearAttentionOutputs& outputs,
                       TensorView workspace, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Outputs(Inputs(m, inputs), m.In(initial_state), terms,
                                {m.Out(outputs.o), m.Out(outputs.final_state)},
                                m.Scratch(workspace), stream));
  }

  absl::Status SummariseBackward(const LinearAttentionInputs& inputs,
                                 ConstTensorView d_o, TensorView d_state,
                                 TensorView workspace,
                                 Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.SummariseBackward(Inputs(m, inputs), m.In(d_o),
                                          m.Out(d_state), m.Scratch(workspace),
                                          stream));
  }

  absl::Status Gradients(const LinearAttentionInputs& inputs,
                         ConstTensorView initial_state,
                         const LinearAttentionOutputGradients& upstream,
                         ChunkTerms terms,
                         const LinearAttentionGradients& gradients,
                         TensorView workspace, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Gradients(
        Inputs(m, inputs), m.In(initial_state),
        {m.In(upstream.d_o), m.In(upstream.d_final_state)}, terms,
        {m.Out(gradients.d_q), m.Out(gradients.d_k), m.Out(gradients.d_v),
         m.Out(gradients.d_log_gate), m.Out(gradients.d_initial_state)},
        m.Scratch(workspace), stream));
  }

  absl::Status FoldSummaries(ConstTensorView states, ConstTensorView log_decays,
                             ConstTensorView initial_state, bool reverse,
                             TensorView state, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.FoldSummaries(m.In(states), m.In(log_decays),
                                      m.In(initial_state), reverse,
                                      m.Out(state), stream));
  }

  absl::Status Decode(const LinearAttentionInputs& inputs,
                      ConstTensorView slots, TensorView state_pool,
                      TensorView o, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Decode(Inputs(m, inputs), m.In(slots),
                               m.Out(state_pool), m.Out(o), stream));
  }

 private:
  static LinearAttentionInputs Inputs(DeviceMirror& m,
                                      LinearAttentionInputs inputs) {
    inputs.q = m.In(inputs.q);
    inputs.k = m.In(inputs.k);
    inputs.v = m.In(inputs.v);
    inputs.log_gate = m.In(inputs.log_gate);
    inputs.log_decay = m.In(inputs.log_decay);
    inputs.documents = m.In(inputs.documents);
    return inputs;
  }

  Backend& backend_;
  LinearAttention& op_;
};

class MirroredSoftmaxAttention : public SoftmaxAttention {
 public:
  explicit MirroredSoftmaxAttention(Backend& backend)
      : backend_(backend), op_(backend.softmax_attention()) {}

  absl::Status Forward(const SoftmaxAttentionInputs& inputs, TensorView o,
                       TensorView lse, TensorView workspace,
                       Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Forward(Inputs(m, inputs), m.Out(o), m.Out(lse),
                                m.Scratch(workspace), stream));
  }

  absl::Status Backward(const SoftmaxAttentionInputs& inputs,
                        const SoftmaxAttentionSaved& saved, ConstTensorView d_o,
                        const SoftmaxAttentionGradients& gradients,
                        TensorView workspace, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Backward(
        Inputs(m, inputs), {m.In(saved.o), m.In(saved.lse)}, m.In(d_o),
        {m.Out(gradients.d_q), m.Out(gradients.d_k), m.Out(gradients.d_v)},
        m.Scratch(workspace), stream));
  }

  absl::Status Merge(const SoftmaxAttentionSaved& part, TensorView o,
                     TensorView lse, Stream& stream) override {
    DeviceMirror m(backend_, stream);
    return m.Finish(op_.Merge({m.In(part.o), m.In(part.lse)}, m.Out(o),
                              m.Out(lse), stream));
  }

 private:
  static SoftmaxAttentionInputs Inputs(DeviceMirror& m,
                                       SoftmaxAttentionInputs inputs) {
    inputs.q = m.In(inputs.q);
    inputs.k = m.In(inputs.k);
    inputs.v = m.In(inputs.v);
    inputs.documents = m.In(inputs.documents);
    return inputs;
  }

  Backend& backend_;
  SoftmaxAttention& op_;
};

}  // namespace

std::unique_ptr<LinearAttention> MirrorLinearAttention(Backend& backend) {
  return std::make_unique<MirroredLinearAttention>(backend);
}

std::unique_ptr<SoftmaxAttention> MirrorSoftmaxAttention(Backend& backend) {
  return std::make_unique<MirroredSoftmaxAttention>(backend);
}

}  // namespace longspan::kernels
