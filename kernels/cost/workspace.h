// Workspace bytes of each op as pure functions of shape, backend and threads.
//
// The worker allocates exactly these sizes once per step arena and the planner
// adds the same numbers to its memory prediction, so an op may never need more.
// Results are multiples of 64.
#pragma once

#include <cstdint>

#include "kernels/cost/backend_kind.h"

namespace longspan::kernels {

// What a token does to the state: it is scaled by at most one number a head (no
// gates too), by one a channel of the key, or multiplied by a matrix (the delta
// rule, whatever its gates).
enum class LinearAttentionDecay { kHead, kChannel, kMatrix };

struct LinearAttentionShape {
  int64_t batch = 1;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  int64_t element_bytes = 4;  // 4: f32, 8: f64
  LinearAttentionDecay decay = LinearAttentionDecay::kHead;
  int64_t key_heads = 0;  // of q and k; 0: heads
};

enum class LinearAttentionStage {
  kSummarise,
  kOutputs,
  kSummariseBackward,
  kGradients
};

int64_t LinearAttentionWorkspaceBytes(LinearAttentionStage stage,
                                      const LinearAttentionShape& shape,
                                      BackendKind backend, int threads);

struct SoftmaxAttentionShape {
  int64_t batch = 1;
  int64_t query_tokens = 0;
  int64_t key_tokens = 0;
  int64_t heads = 0;
  int64_t key_heads = 0;
  int64_t head_dim = 0;
  int64_t element_bytes = 4;
};

int64_t SoftmaxAttentionWorkspaceBytes(bool backward,
                                       const SoftmaxAttentionShape& shape,
                                       BackendKind backend, int threads);

// Slab workspace of the fused cross-entropy head: as many rows as one slab
// holds (bounded), times the vocabulary.
int64_t CrossEntropyWorkspaceBytes(int64_t rows, int64_t hidden_size,
                                   int64_t vocabulary, int64_t element_bytes,
                                   BackendKind backend, int threads);

// `rows` is M and `size` N, also for a norm per head.
int64_t RmsNormBackwardWorkspaceBytes(int64_t rows, int64_t size,
                                      int64_t element_bytes,
                                      BackendKind backend, int threads);

// `channel_parameters`: K, and one more with a bias.
int64_t ShortConvolutionBackwardWorkspaceBytes(
    int64_t batch, int64_t tokens, int64_t channels, int64_t channel_parameters,
    int64_t element_bytes, BackendKind backend, int threads);

// `rows` counts heads (M * H), `parameters` the elements of the map's weights
// and biases.
int64_t FeatureMapBackwardWorkspaceBytes(int64_t rows, int64_t parameters,
                                         int64_t element_bytes,
                                         BackendKind backend);

int64_t SumOfSquaresWorkspaceBytes(int64_t total_elements, BackendKind backend,
                                   int threads);

}  // namespace longspan::kernels
