// The cases of bench/run attention, in the order of its table, and the
// operations that count as useful in each.
//
// Operations of a token and head, whatever chunk a kernel chooses, with
// s = dk + dv and p = dk dv, products of a 64-token chunk and the causal half
// of those inside it:
//
//     linear, forward     64 s +  4 p    Q K^T, P V; Q S, K^T V
//             backward   160 s +  8 p    P again and the gradients of the four
//     dense,  forward    128 s +  6 p    and K K^T, the solve for U; K S
//             backward   352 s + 14 p    P, K K^T, K S, U again; the gradients
//     softmax, forward    4 d (t + 1) / 2, backward 2.5 times that
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/softmax_attention_cases.h"

namespace longspan::bench {

struct Operations {
  double forward = 0.0;
  double backward = 0.0;
};

enum class AttentionGroup {
  kLinear,  // every transition at three head sizes
  kBf16,    // the same with bf16 operands, of the transitions that take them
  kSoftmax,
  kLength  // one head, growing length
};

struct AttentionCase {
  AttentionGroup group = AttentionGroup::kLinear;
  // "scalar 128", "bf16 scalar 128", "softmax 64", "scalar 128 x 8192"
  std::string name;
  std::string transition;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  Operations operations;
  kernels::LinearAttentionCase linear;    // but for kSoftmax
  kernels::SoftmaxAttentionCase softmax;  // kSoftmax only
};

// With `tokens_divisor`, sequences are as many times shorter.
std::vector<AttentionCase> AttentionCases(int64_t tokens_divisor);

// One line of JSON for bench/attention.py.
std::string ToJson(const AttentionCase& c);

}  // namespace longspan::bench
