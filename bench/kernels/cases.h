// What longspan-bench-kernels measures: ops with their sizes and costs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/kernels/buffers.h"
#include "bench/kernels/predicted_time.h"
#include "kernels/cost/backend_kind.h"

namespace longspan::bench {

inline constexpr int64_t kHidden = 2048;  // of a 1.3B model

// Runs the op once on set number `set`; enqueues, does not wait.
using RunSet = std::function<void(int set)>;

struct Case {
  std::string op;    // "linear identity forward"
  std::string size;  // "B1_T8192_H96_D128"
  Cost cost;
  int64_t set_bytes = 0;  // device memory of one set
  // Allocates `sets` sets and returns how to run one.
  std::function<RunSet(BenchDevice&, int sets)> prepare;

  std::string name() const { return op + " " + size; }
};

// `tokens_divisor` shortens every sequence and product, for a try without a
// GPU.
std::vector<Case> AllCases(kernels::BackendKind backend, kernels::DType dtype,
                           int64_t tokens_divisor);

}  // namespace longspan::bench
