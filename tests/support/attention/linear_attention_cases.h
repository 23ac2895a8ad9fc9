// The one list of linear-attention cases: conformance across backends, split
// and determinism tests, gradient checks and the bench all draw from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/api/linear_attention.h"

namespace longspan::kernels {

enum class Gates {
  kMild,     // log gates in (-0.3, 0), decays in the same range
  kStrong,   // -20 per step: everything older is as good as gone
  kZero,     // no decay, through the gated path
  kPerHead,  // 0 in head 0 and -10 in the others: shows a wrong head offset
  kClosed    // minus infinity at every seventh token, weak gates elsewhere
};

struct LinearAttentionCase {
  std::string name;
  int64_t batch = 1;
  int64_t tokens = 1;
  int64_t heads = 1;
  int64_t key_heads = 0;  // of q and k; 0: heads
  int64_t key_dim = 16;
  int64_t value_dim = 16;
  Transition transition = Transition::kIdentity;
  // kDense: kIdentity, kScalar or kVector (DeltaNet, Gated DeltaNet, KDA).
  Transition dense_decay = Transition::kIdentity;
  Gates gates = Gates::kMild;
  std::vector<int64_t> document_starts;
  bool has_initial_state = true;
  bool has_final_gradient = true;
  bool fused_projection = false;  // q, k, v are slices of one buffer
  int64_t snapshot_interval = 0;  // of prefix_states; 0: none
};

int64_t KeyHeads(const LinearAttentionCase& c);

// Gates of each token and head: 0, 1 or key_dim.
int64_t GateWidth(const LinearAttentionCase& c);

// Identity, constant and scalar decays: what every backend has.
const std::vector<LinearAttentionCase>& LinearAttentionCases();
// Vector gates.
const std::vector<LinearAttentionCase>& VectorGateCases();
// The delta rule with each of its decays.
const std::vector<LinearAttentionCase>& DenseCases();
// Heads that share q and k, with every transition.
const std::vector<LinearAttentionCase>& SharedKeyCases();
// Prefix snapshots, with every transition.
const std::vector<LinearAttentionCase>& SnapshotCases();
// Small ones with every transition, for central differences.
const std::vector<LinearAttentionCase>& LinearAttentionGradientCases();
const std::vector<LinearAttentionCase>& VectorGateGradientCases();
const std::vector<LinearAttentionCase>& DenseGradientCases();
const std::vector<LinearAttentionCase>& SharedKeyGradientCases();
// What bench/run attention times: every transition, then one head of growing
// length.
const std::vector<LinearAttentionCase>& LinearAttentionBenchCases();
const std::vector<LinearAttentionCase>& LinearAttentionLengthCases();

}  // namespace longspan::kernels
