// The heads of one batch element that a thread walks together: the arguments of
// the instruction-set variants of linear attention, and their table.
//
// Plain pointers and strides only: the variants' files include nothing whose
// inline functions could be compiled with the wrong instruction set.
#pragma once

#include <cstdint>

#include "kernels/api/bfloat16.h"
#include "kernels/cost/linear_attention_plan.h"
#include "kernels/cpu/instruction_set.h"

namespace longspan::kernels {

enum class DecayKind { kNone, kConstant, kPerToken, kPerChannel };

// A log decay below this is as good as a reset in either type, and minus
// infinity would make differences and multiples of it undefined.
inline constexpr double kLowestLogGate = -1000.0;

// The largest key_dim and value_dim.
inline constexpr int64_t kMaxKeyDim = 512;

// Rows of an operand, or of a result: row t begins at data + t * stride.
template <typename T>
struct OperandRows {
  const T* data = nullptr;
  int64_t stride = 0;
};
// Of a result row t & kept, so that it may hold the rows of a chunk alone.
template <typename T>
struct ResultRows {
  T* Row(int64_t token) const { return data + (token & kept) * stride; }

  T* data = nullptr;
  int64_t stride = 0;
  int64_t kept = -1;  // kChunk - 1: only a chunk is there
};

// The type of states, gates and sums beside operands of type T.
template <typename T>
struct SumTypeOf {
  using Type = T;
};
template <>
struct SumTypeOf<BFloat16> {
  using Type = float;
};

// One head. Operands and results are rows of tokens.
template <typename T>
struct LinearAttentionSequence {
  using Sum = typename SumTypeOf<T>::Type;
  using Operand = OperandRows<T>;
  using Result = ResultRows<T>;
  using SumOperand = OperandRows<Sum>;
  using SumResult = ResultRows<Sum>;

  int64_t tokens = 0;
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  double scale = 1.0;
  DecayKind decay = DecayKind::kNone;
  double log_decay = 0.0;  // kConstant
  SumOperand log_gate;     // kPerToken; kPerChannel, rows of key_dim
  SumOperand beta;         // delta rule only
  const int64_t* document_starts = nullptr;
  int64_t document_count = 0;
  bool intra = true;  // terms inside a chunk
  bool inter = true;  // terms through states; alone, they are added

  Operand q, k, v, d_o;                     // delta rule: v may be null (zero)
  SumOperand initial_state, d_final_state;  // rows of value_dim; null is zero
  bool starts_with_unit = false;  // delta rule: the initial state is I
  Result o, d_q, d_k, d_v;
  // Where heads share q and k, d_q and d_k are those of a chunk and go here:
  // added, unless this is the first head of those that share.
  Result shared_d_q, shared_d_k;
  bool adds_shared = false;
  SumResult d_log_gate, d_beta;
  SumResult final_state, d_initial_state;  // rows of value_dim; may be null
  // The state after every snapshot_interval tokens, but for the last: entries
  // snapshot_stride apart like final_state. 0: none.
  SumResult prefix_states;
  int64_t snapshot_interval = 0;
  int64_t snapshot_stride = 0;
  // Written by Summarise: the sum of all log decays, or kPerChannel key_dim of
  // them.
  Sum* log_decay_sums = nullptr;
  SumResult transition;  // delta rule, instead: rows of key_dim
};

// Heads with equal sizes, documents and flags.
template <typename T>
struct LinearAttentionGroup {
  LinearAttentionSequence<T> heads[kMaxGroupHeads];
  int64_t count = 0;
  LinearAttentionPlan plan;
  T* scratch = nullptr;  // 64-byte aligned, plan.scratch_elements

  T* head_scratch(int64_t head) const {
    return scratch + plan.shared_elements + head * plan.head_elements;
  }
};

template <typename T>
struct LinearAttentionKernels {
  void (*summarise)(LinearAttentionGroup<T>& group);
  void (*outputs)(const LinearAttentionGroup<T>& group);
  void (*summarise_backward)(const LinearAttentionGroup<T>& group);
  void (*gradients)(const LinearAttentionGroup<T>& group);
  // Updates final_state in place.
  void (*decode)(const LinearAttentionSequence<T>& sequence);
};

// The variants, defined in linear_attention_<set>.cc.
template <typename T>
const LinearAttentionKernels<T>& BaselineLinearAttention();
template <typename T>
const LinearAttentionKernels<T>& Avx2LinearAttention();
template <typename T>
const LinearAttentionKernels<T>& Avx512LinearAttention();

// The same for decays per channel, in linear_attention_vector_<set>.cc.
template <typename T>
const LinearAttentionKernels<T>& BaselineVectorAttention();
template <typename T>
const LinearAttentionKernels<T>& Avx2VectorAttention();
template <typename T>
const LinearAttentionKernels<T>& Avx512VectorAttention();

template <typename T>
const LinearAttentionKernels<T>& VectorAttentionFor(InstructionSet set) {
  switch (set) {
    case InstructionSet::kAvx512:
      return Avx512VectorAttention<T>();
    case InstructionSet::kAvx2:
      return Avx2VectorAttention<T>();
    case InstructionSet::kBaseline:
      break;
  }
  return BaselineVectorAttention<T>();
}

// The same for the delta rule, in linear_attention_delta_<set>.cc; `intra` and
// `inter` are both set.
template <typename T>
const LinearAttentionKernels<T>& BaselineDeltaAttention();
template <typename T>
const LinearAttentionKernels<T>& Avx2DeltaAttention();
template <typename T>
const LinearAttentionKernels<T>& Avx512DeltaAttention();

template <typename T>
const LinearAttentionKernels<T>& DeltaAttentionFor(InstructionSet set) {
  switch (set) {
    case InstructionSet::kAvx512:
      return Avx512DeltaAttention<T>();
    case InstructionSet::kAvx2:
      return Avx2DeltaAttention<T>();
    case InstructionSet::kBaseline:
      break;
  }
  return BaselineDeltaAttention<T>();
}

// bf16 operands, in linear_attention_bf16_{baseline,amx}.cc; `decode` is null.
const LinearAttentionKernels<BFloat16>& BaselineBf16Attention();
const LinearAttentionKernels<BFloat16>& AmxBf16Attention();

inline const LinearAttentionKernels<BFloat16>& Bf16AttentionFor(
    InstructionSet set) {
  return HasBf16Tiles(set) ? AmxBf16Attention() : BaselineBf16Attention();
}

template <typename T>
const LinearAttentionKernels<T>& LinearAttentionFor(InstructionSet set) {
  switch (set) {
    case InstructionSet::kAvx512:
      return Avx512LinearAttention<T>();
    case InstructionSet::kAvx2:
      return Avx2LinearAttention<T>();
    case InstructionSet::kBaseline:
      break;
  }
  return BaselineLinearAttention<T>();
}

}  // namespace longspan::kernels
