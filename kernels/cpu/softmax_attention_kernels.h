// One query head of softmax attention: the arguments of the instruction-set
// variants and their table. Plain data only, as in linear_attention_kernels.h.
#pragma once

#include <cstdint>

#include "kernels/cpu/instruction_set.h"

namespace longspan::kernels {

// Keys [begin, end) that a query, or any query of a block, sees.
struct VisibleRange {
  int64_t begin = 0;
  int64_t end = 0;
};

template <typename T>
struct SoftmaxAttentionHead {
  // Token t of an operand begins at data + t * stride.
  struct Operand {
    const T* data = nullptr;
    int64_t stride = 0;
  };
  struct Result {
    T* data = nullptr;
    int64_t stride = 0;
  };

  int64_t query_tokens = 0;
  int64_t key_tokens = 0;
  int64_t head_dim = 0;
  double scale = 1.0;
  const VisibleRange* ranges = nullptr;        // of each query
  const VisibleRange* block_ranges = nullptr;  // of each block of queries

  Operand q, k, v;
  Result o;                      // forward
  T* lse = nullptr;              // forward; stride 1
  Operand saved_o, d_o;          // backward
  const T* saved_lse = nullptr;  // backward
  Result d_q;                    // null: not wanted
  Result d_k, d_v;               // null: not wanted; added to

  // The blocks of queries and keys that this call covers.
  int64_t query_block_begin = 0;
  int64_t query_block_end = 0;
  int64_t key_block_begin = 0;
  int64_t key_block_end = 0;

  T* scratch = nullptr;  // 64-byte aligned, SoftmaxAttentionPlan's size
};

template <typename T>
struct SoftmaxAttentionKernels {
  void (*forward)(const SoftmaxAttentionHead<T>& head);
  void (*backward)(const SoftmaxAttentionHead<T>& head);
};

// The variants, defined in softmax_attention_<set>.cc.
template <typename T>
const SoftmaxAttentionKernels<T>& BaselineSoftmaxAttention();
template <typename T>
const SoftmaxAttentionKernels<T>& Avx2SoftmaxAttention();
template <typename T>
const SoftmaxAttentionKernels<T>& Avx512SoftmaxAttention();

template <typename T>
const SoftmaxAttentionKernels<T>& SoftmaxAttentionFor(InstructionSet set) {
  switch (set) {
    case InstructionSet::kAvx512:
      return Avx512SoftmaxAttention<T>();
    case InstructionSet::kAvx2:
      return Avx2SoftmaxAttention<T>();
    case InstructionSet::kBaseline:
      break;
  }
  return BaselineSoftmaxAttention<T>();
}

}  // namespace longspan::kernels
