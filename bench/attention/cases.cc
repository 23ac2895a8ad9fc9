#include "bench/attention/cases.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/instruction_set.h"

namespace longspan::bench {
namespace {

using kernels::LinearAttentionCase;
using kernels::SoftmaxAttentionCase;
using kernels::Transition;

constexpr int64_t kMinTokens = 64;  // one chunk

const char* NameOf(Transition transition) {
  constexpr const char* kNames[] = {"identity", "constant", "scalar", "vector",
                                    "dense"};
  return kNames[static_cast<int>(transition)];
}

std::string TransitionName(const LinearAttentionCase& c) {
  if (c.transition != Transition::kDense) return NameOf(c.transition);
  if (c.dense_decay == Transition::kIdentity) return "dense";
  return absl::StrCat("dense ", NameOf(c.dense_decay));
}

Operations LinearOperations(const LinearAttentionCase& c) {
  const bool dense = c.transition == Transition::kDense;
  const double s = c.key_dim + c.value_dim;
  const double p = static_cast<double>(c.key_dim) * c.value_dim;
  const double rows = static_cast<double>(c.batch) * c.tokens * c.heads;
  if (dense) return {rows * (128 * s + 6 * p), rows * (352 * s + 14 * p)};
  return {rows * (64 * s + 4 * p), rows * (160 * s + 8 * p)};
}

Operations SoftmaxOperations(const SoftmaxAttentionCase& c) {
  const double t = c.query_tokens;
  const double pairs = c.batch * c.heads * t * (t + 1) / 2;
  return {4 * pairs * c.head_dim, 10 * pairs * c.head_dim};
}

AttentionCase Linear(LinearAttentionCase linear, AttentionGroup group,
                     int64_t tokens_divisor) {
  AttentionCase c;
  linear.tokens = std::max(linear.tokens / tokens_divisor, kMinTokens);
  c.group = group;
  c.transition = TransitionName(linear);
  c.tokens = linear.tokens;
  c.heads = linear.heads;
  c.head_dim = linear.key_dim;
  c.name = absl::StrCat(c.transition, " ", c.head_dim);
  if (group == AttentionGroup::kBf16) c.name = "bf16 " + c.name;
  if (group == AttentionGroup::kLength)
    absl::StrAppend(&c.name, " x ", c.tokens);
  c.operations = LinearOperations(linear);
  c.linear = std::move(linear);
  return c;
}

AttentionCase Softmax(SoftmaxAttentionCase softmax, int64_t tokens_divisor) {
  AttentionCase c;
  const int64_t tokens =
      std::max(softmax.query_tokens / tokens_divisor, kMinTokens);
  softmax.query_tokens = tokens;
  softmax.key_tokens = tokens;
  c.group = AttentionGroup::kSoftmax;
  c.transition = "softmax";
  c.tokens = tokens;
  c.heads = softmax.heads;
  c.head_dim = softmax.head_dim;
  c.name = absl::StrCat("softmax ", c.head_dim);
  c.operations = SoftmaxOperations(softmax);
  c.softmax = std::move(softmax);
  return c;
}

// What bench/attention_peer.py computes for it.
std::string DecayName(const AttentionCase& c) {
  if (c.group == AttentionGroup::kSoftmax) return "none";
  const bool dense = c.linear.transition == Transition::kDense;
  return NameOf(dense ? c.linear.dense_decay : c.linear.transition);
}

}  // namespace

std::vector<AttentionCase> AttentionCases(int64_t tokens_divisor) {
  std::vector<AttentionCase> cases;
  for (const auto& c : kernels::LinearAttentionBenchCases()) {
    cases.push_back(Linear(c, AttentionGroup::kLinear, tokens_divisor));
  }
  for (const auto& c : kernels::LinearAttentionBenchCases()) {
    if (!kernels::HasBf16Tiles(kernels::BestInstructionSet()) ||
        c.transition == Transition::kVector ||
        c.transition == Transition::kDense) {
      continue;
    }
    cases.push_back(Linear(c, AttentionGroup::kBf16, tokens_divisor));
  }
  for (const auto& c : kernels::SoftmaxAttentionBenchCases()) {
    cases.push_back(Softmax(c, tokens_divisor));
  }
  for (const auto& c : kernels::LinearAttentionLengthCases()) {
    cases.push_back(Linear(c, AttentionGroup::kLength, tokens_divisor));
  }
  return cases;
}

std::string ToJson(const AttentionCase& c) {
  constexpr const char* kGroups[] = {"linear", "bf16", "softmax", "length"};
  const bool dense = c.group != AttentionGroup::kSoftmax &&
                     c.linear.transition == Transition::kDense;
  return absl::StrCat(
      "{\"group\": \"", kGroups[static_cast<int>(c.group)], "\", \"name\": \"",
      c.name, "\", \"transition\": \"", c.transition, "\", \"decay\": \"",
      DecayName(c), "\", \"dense\": ", dense ? "true" : "false",
      ", \"tokens\": ", c.tokens, ", \"heads\": ", c.heads,
      ", \"dim\": ", c.head_dim,
      ", \"forward_operations\": ", c.operations.forward,
      ", \"backward_operations\": ", c.operations.backward, "}");
}

}  // namespace longspan::bench
