// What a training step and a generated token must cost, from bytes and
// operations, before anything runs. Pure.
//
// A step of N tokens is the sum of
//
//     products     6 operations per matrix element and token, the head's too,
//                  at 80 % of the matrix rate
//     attention    linear: predicted_time.h, forward and backward per layer;
//                  softmax: likewise, quadratic in N
//     row ops      kRowPasses reads or writes of a hidden row per layer and
//                  kGatePasses of a feed-forward row, at 85 % of the bandwidth
//     optimiser    34 bytes per parameter (gradients' norm and AdamW), likewise
//
// A generated token reads every matrix and the states once; or waits for
// kLaunchesPerLayer launches per layer, whichever is longer, and then for the
// host, which samples.
#pragma once

#include <cstdint>

#include "bench/kernels/predicted_time.h"
#include "common/model_spec/model_spec.h"

namespace longspan::bench {

struct StepPrediction {
  double products_ms = 0.0;
  double attention_ms = 0.0;
  double row_ops_ms = 0.0;
  double optimizer_ms = 0.0;

  double total_ms() const {
    return products_ms + attention_ms + row_ops_ms + optimizer_ms;
  }
};

StepPrediction PredictTrainStep(const ModelSpec& spec, int64_t tokens,
                                const Device& device);

double PredictTokenMs(const ModelSpec& spec, int64_t context_tokens,
                      const Device& device);

// Elements of all matrices that a token is multiplied with: without the
// embedding, which is only looked up.
double MatrixElements(const ModelSpec& spec);

}  // namespace longspan::bench
