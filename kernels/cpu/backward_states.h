// What one head's walks backward keep, whatever the transition: states S at
// block starts, transposed because dO S^T needs their rows as columns, and dS,
// the gradient of the state at the end of the chunk at work. Included by the
// passes of linear_attention_*backward.h.
#pragma once

#include "kernels/cpu/chunk_prefetch.h"
#include "kernels/cpu/chunk_product.h"
#include "kernels/cpu/chunk_stream.h"
#include "kernels/cpu/chunk_walk.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
class BackwardStates {
 public:
  using Sequence = LinearAttentionSequence<T>;

  // `states` holds plan.group_blocks + 1 states and, behind them, plan.groups +
  // 1; `d_state` and `d_outputs` one state and kChunk padded rows of values.
  BackwardStates(const Sequence& sequence, const LinearAttentionPlan& plan,
                 ChunkPrefetch& prefetch, T* d_state, T* states, T* d_outputs)
      : s_(sequence),
        key_pad_(PadToVector(sequence.key_dim)),
        value_pad_(PadToVector(sequence.value_dim)),
        state_size_(key_pad_ * value_pad_),
        d_state_(d_state),
        states_(states),
        prefetch_(prefetch),
        saved_states_(states + (plan.group_blocks + 1) * state_size_),
        d_outputs_(d_outputs) {}

  void LoadInitialState() {
    FillZero(saved_states_, state_size_);
    if (s_.initial_state.data == nullptr) return;
    PackTransposed(From(s_.initial_state, 0), s_.key_dim, s_.value_dim,
                   TransposedState(saved_states_));
  }

  // A group's states are filled block by block: states_[i] is the state at the
  // start of its block i, and the last one that at its end.
  void BeginGroup(int64_t group) {
    Copy(saved_states_ + group * state_size_, states_);
  }
  void EndGroup(int64_t group, int64_t blocks) {
    Copy(states_ + blocks * state_size_,
         saved_states_ + (group + 1) * state_size_);
  }

  // Asks for what AdvanceBlock reads of tokens [begin, end), while another head
  // or chunk is at work.
  void PrefetchForward(int64_t begin, int64_t end) const {
    if (HasGateRows()) Prefetch(s_.log_gate, begin, end - begin, s_.key_dim);
    Prefetch(s_.k, begin, end - begin, s_.key_dim);
    Prefetch(s_.v, begin, end - begin, s_.value_dim);
    prefetch_.SetSteps(StateProductSteps());
  }

  // The same for ReverseChunk, and what it writes.
  void PrefetchReverse(int64_t begin, int64_t end,
                       int64_t block_in_group) const {
    const int64_t n = end - begin;
    if (HasGateRows()) Prefetch(s_.log_gate, begin, n, s_.key_dim);
    Prefetch(s_.k, begin, n, s_.key_dim);
    Prefetch(s_.q, begin, n, s_.key_dim);
    Prefetch(s_.v, begin, n, s_.value_dim);
    Prefetch(s_.d_o, begin, n, s_.value_dim);
    prefetch_.AddRows(states_ + block_in_group * state_size_, 0,
                      state_size_ * kElement, 1);
    const bool shared = s_.shared_d_q.data != nullptr;
    const auto& d_q = shared ? s_.shared_d_q : s_.d_q;
    const auto& d_k = shared ? s_.shared_d_k : s_.d_k;
    if (!Streams(d_q)) Prefetch(d_q, begin, n, s_.key_dim);
    if (!Streams(d_k)) Prefetch(d_k, begin, n, s_.key_dim);
    if (!Streams(s_.d_v)) Prefetch(s_.d_v, begin, n, s_.value_dim);
    if (HasGateRows()) Prefetch(s_.d_log_gate, begin, n, s_.key_dim);
    prefetch_.SetSteps(4 * StateProductSteps());
  }

  // Around the chunk's gradients, where heads share q and k.
  void BeginSharedGradients() const {
    if (s_.shared_d_q.data == nullptr || s_.intra) return;
    FillZero(s_.d_q.data, kChunk * s_.d_q.stride);
    FillZero(s_.d_k.data, kChunk * s_.d_k.stride);
  }
  void EndSharedGradients(const Chunk& chunk) const {
    if (s_.shared_d_q.data == nullptr) return;
    PassOn(s_.d_q, chunk, s_.shared_d_q);
    PassOn(s_.d_k, chunk, s_.shared_d_k);
  }

  void LoadFinalGradient() {
    has_d_state_ = s_.d_final_state.data != nullptr;
    if (!has_d_state_) return;
    FillZero(d_state_, state_size_);
    PackPanels(From(s_.d_final_state, 0), s_.key_dim, s_.value_dim,
               static_cast<const T*>(nullptr), GradientState());
  }

  void StoreInitialGradient() {
    if (s_.d_initial_state.data == nullptr) return;
    if (!has_d_state_) FillZero(d_state_, state_size_);
    UnpackPanels(GradientState(), To(s_.d_initial_state, 0), s_.key_dim,
                 s_.value_dim);
  }

 protected:
  PanelMatrix<T> TransposedState(T* data) const {
    return {data, value_pad_, key_pad_};
  }
  PanelMatrix<T> GradientState() const {
    return {d_state_, key_pad_, value_pad_};
  }
  PanelMatrix<T> OutputGradients() const {
    return {d_outputs_, kChunk, value_pad_};
  }
  static StridedRows<const T> From(const typename Sequence::Operand& operand,
                                   int64_t token) {
    return {operand.data + token * operand.stride, operand.stride};
  }
  static StridedRows<T> To(const typename Sequence::Result& result,
                           int64_t token) {
    return {result.Row(token), result.stride};
  }
  bool HasStateBefore(const Chunk& chunk) const {
    if (!s_.inter || chunk.starts_document) return false;
    return chunk.begin > 0 || s_.initial_state.data != nullptr;
  }
  // Whether a gradient is stored past the caches. Those of q and k are read
  // again where gates are of channels.
  bool Streams(const typename Sequence::Result& result) const {
    const bool channels = s_.decay == DecayKind::kPerChannel;
    if (channels && result.data != s_.d_v.data) return false;
    return IsStreamed(result, s_.tokens);
  }
  // Done between the slabs of the chunk's products.
  auto Between() const {
    return [this] { prefetch_.Step(); };
  }
  void PackOutputGradients(const Chunk& chunk) {
    PackPanels(From(s_.d_o, chunk.begin), chunk.size(), s_.value_dim,
               static_cast<const T*>(nullptr), OutputGradients());
  }

  const Sequence& s_;
  const int64_t key_pad_;
  const int64_t value_pad_;
  const int64_t state_size_;
  T* const d_state_;  // (key_dim, value_dim) panels
  // Transposed states of the current group of blocks.
  T* const states_;
  bool has_d_state_ = false;  // d_state_ holds the gradient at the chunk's end

 private:
  static constexpr int64_t kElement = sizeof(T);

  bool HasGateRows() const { return s_.decay == DecayKind::kPerChannel; }

  template <typename Operand>
  void Prefetch(const Operand& operand, int64_t token, int64_t rows,
                int64_t cols) const {
    if (operand.data == nullptr) return;
    prefetch_.AddRows(operand.data + token * operand.stride,
                      operand.stride * kElement, cols * kElement, rows);
  }

  // Slabs of one product of a chunk with a state.
  int64_t StateProductSteps() const {
    return state_size_ / (kTileRows * kPanelLanes<T>)*(kChunk / kSlab);
  }

  using Result = typename Sequence::Result;

  void PassOn(const Result& from, const Chunk& chunk, const Result& to) const {
    for (int64_t t = chunk.begin; t < chunk.end; ++t) {
      for (int64_t c = 0; c < s_.key_dim; c += kLanes<T>) {
        const int64_t left = s_.key_dim - c;
        Vec<T> sum = LoadFirst<T>(from.Row(t) + c, left);
        if (s_.adds_shared) sum += LoadFirst<T>(to.Row(t) + c, left);
        StoreFirst(to.Row(t) + c, sum, left);
      }
    }
  }

  void Copy(const T* from, T* to) const {
    for (int64_t i = 0; i < state_size_; i += kLanes<T>) {
      Store(to + i, Load(from + i));
    }
  }

  ChunkPrefetch& prefetch_;
  T* const saved_states_;  // at all groups' starts, transposed
  T* const d_outputs_;     // (chunk, value_dim) panels
};

}  // namespace longspan::kernels::LONGSPAN_ISA
