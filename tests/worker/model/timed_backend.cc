#include "tests/worker/model/timed_backend.h"

namespace longspan::testing {

using kernels::ChunkTerms;
using kernels::ConstTensorView;
using kernels::LinearAttentionGradients;
using kernels::LinearAttentionInputs;
using kernels::LinearAttentionOutputGradients;
using kernels::LinearAttentionOutputs;
using kernels::LinearAttentionSummary;
using kernels::Stream;
using kernels::TensorView;

class TimedBackend::Attention final : public kernels::LinearAttention {
 public:
  Attention(kernels::LinearAttention* inner, const TimedParts& parts,
            ManualRankClock* clock)
      : inner_(inner), parts_(parts), clock_(clock) {}

  const std::vector<TimedEvent>& events() const { return events_; }

  absl::Status Summarise(const LinearAttentionInputs& inputs,
                         const LinearAttentionSummary& summary,
                         TensorView workspace, Stream& stream) override {
    Took("summary", parts_.summarise);
    return inner_->Summarise(inputs, summary, workspace, stream);
  }
  absl::Status Outputs(const LinearAttentionInputs& inputs,
                       ConstTensorView initial_state, ChunkTerms terms,
                       const LinearAttentionOutputs& outputs,
                       TensorView workspace, Stream& stream) override {
    TookTerms("output", terms);
    return inner_->Outputs(inputs, initial_state, terms, outputs, workspace,
                           stream);
  }
  absl::Status SummariseBackward(const LinearAttentionInputs& inputs,
                                 ConstTensorView d_o, TensorView d_state,
                                 TensorView workspace,
                                 Stream& stream) override {
    Took("d summary", parts_.summarise);
    return inner_->SummariseBackward(inputs, d_o, d_state, workspace, stream);
  }
  absl::Status Gradients(const LinearAttentionInputs& inputs,
                         ConstTensorView initial_state,
                         const LinearAttentionOutputGradients& output_gradients,
                         ChunkTerms terms,
                         const LinearAttentionGradients& gradients,
                         TensorView workspace, Stream& stream) override {
    TookTerms("d input", terms);
    return inner_->Gradients(inputs, initial_state, output_gradients, terms,
                             gradients, workspace, stream);
  }
  absl::Status FoldSummaries(ConstTensorView states, ConstTensorView decays,
                             ConstTensorView initial_state, bool reverse,
                             TensorView state, Stream& stream) override {
    return inner_->FoldSummaries(states, decays, initial_state, reverse, state,
                                 stream);
  }
  absl::Status Decode(const LinearAttentionInputs& inputs,
                      ConstTensorView slots, TensorView state_pool,
                      TensorView o, Stream& stream) override {
    return inner_->Decode(inputs, slots, state_pool, o, stream);
  }

 private:
  void Took(const std::string& part, absl::Duration time) {
    clock_->Work(time);
    events_.push_back({part, clock_->now()});
  }
  void TookTerms(const std::string& what, ChunkTerms terms) {
    if (terms != ChunkTerms::kInterChunk) {
      Took(what + " inside chunks", parts_.intra_chunk);
    }
    if (terms != ChunkTerms::kIntraChunk) {
      Took(what + " through states", parts_.inter_chunk);
    }
  }

  kernels::LinearAttention* const inner_;
  const TimedParts parts_;
  ManualRankClock* const clock_;
  std::vector<TimedEvent> events_;
};

class TimedBackend::Softmax final : public kernels::SoftmaxAttention {
 public:
  Softmax(kernels::SoftmaxAttention* inner, absl::Duration time,
          ManualRankClock* clock)
      : inner_(inner), time_(time), clock_(clock) {}

  absl::Status Forward(const kernels::SoftmaxAttentionInputs& inputs,
                       TensorView o, TensorView lse, TensorView workspace,
                       Stream& stream) override {
    clock_->Work(time_);
    return inner_->Forward(inputs, o, lse, workspace, stream);
  }
  absl::Status Backward(const kernels::SoftmaxAttentionInputs& inputs,
                        const kernels::SoftmaxAttentionSaved& saved,
                        ConstTensorView d_o,
                        const kernels::SoftmaxAttentionGradients& gradients,
                        TensorView workspace, Stream& stream) override {
    clock_->Work(time_);
    return inner_->Backward(inputs, saved, d_o, gradients, workspace, stream);
  }
  absl::Status Merge(const kernels::SoftmaxAttentionSaved& part, TensorView o,
                     TensorView lse, Stream& stream) override {
    return inner_->Merge(part, o, lse, stream);
  }

 private:
  kernels::SoftmaxAttention* const inner_;
  const absl::Duration time_;
  ManualRankClock* const clock_;
};

TimedBackend::TimedBackend(kernels::Backend* inner, const TimedParts& parts,
                           ManualRankClock* clock)
    : inner_(inner),
      attention_(std::make_unique<Attention>(&inner->linear_attention(), parts,
                                             clock)),
      softmax_(std::make_unique<Softmax>(&inner->softmax_attention(),
                                         parts.softmax, clock)) {}

TimedBackend::~TimedBackend() = default;

const std::vector<TimedEvent>& TimedBackend::events() const {
  return attention_->events();
}

kernels::LinearAttention& TimedBackend::linear_attention() {
  return *attention_;
}

kernels::SoftmaxAttention& TimedBackend::softmax_attention() {
  return *softmax_;
}

}  // namespace longspan::testing
