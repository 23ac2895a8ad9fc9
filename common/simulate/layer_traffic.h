// What one layer of the methods that no worker runs sends: section Bytes of
// docs/simulate.md. For what workers run the planner's own functions are the
// formula (common/model_spec/communication_plan.h).
//
//     B sequences, n tokens of the longest range, W ranks, e bytes of an
//     activation, a of a sum; c = numbers of k and v of a token
//
//     method        forward             backward                    calls
//     ring          (W-1) B n c e       (W-1) B n c e + W B n c a   W-1, 2W-1
//
// A linear layer's c has its gates besides, in the type of sums.
//
// Pure.
#pragma once

#include <cstdint>

#include "common/model_spec/model_spec.h"
#include "common/simulate/exchange_method.h"

namespace longspan {

struct TokenShape {
  int64_t batch = 1;
  int64_t tokens = 0;   // of the sequence
  int64_t longest = 0;  // range of a rank
  int64_t ranks = 1;
  int64_t element_bytes = 2;
};

struct PassTraffic {
  int64_t calls = 0;
  int64_t bytes = 0;  // sent by the busiest rank
};

struct LayerTraffic {
  PassTraffic forward;
  PassTraffic backward;
  int64_t buffer_bytes = 0;  // that only the exchange needs
};

// `method` is one without PlannedMethod().
LayerTraffic TokenTraffic(ExchangeMethod method, LayerKind kind,
                          const ModelSpec& model, const TokenShape& shape);

// Bytes of one token's k and v, with gates.
int64_t KeyValueBytes(LayerKind kind, const ModelSpec& model,
                      int64_t element_bytes);

}  // namespace longspan
