// What GEMM means in bench/run attention: oneDNN's sgemm, or its product of
// bf16 operands with an f32 result, at the sizes of a 64-token chunk, in the
// mix that the case's chunks need (64 x 64 x d, 64 x d x 64, 64 x d x d, d x d
// x 64), on operands that stay in cache.
#pragma once

#include <memory>
#include <vector>

#include "bench/attention/cases.h"
#include "tests/support/attention/host_tensor.h"

namespace longspan::bench {

// C [m, n] = op(A) op(B)
struct Product {
  int64_t m, n, k;
  char transpose_a, transpose_b;
};

// Those of one chunk of one head.
std::vector<Product> ForwardProducts(const AttentionCase& c);
std::vector<Product> BackwardProducts(const AttentionCase& c);

class ChunkProducts {
 public:
  // `bf16`: of the operands.
  ChunkProducts(std::vector<Product> products, bool bf16);
  ~ChunkProducts();

  // All products of a chunk, `chunks` times.
  void Run(int64_t chunks) const;
  // Of one chunk; all that oneDNN computes counts.
  double Operations() const;

 private:
  class Bf16Product;

  const std::vector<Product> products_;
  kernels::HostTensor a_, b_, c_;
  std::vector<std::unique_ptr<Bf16Product>> bf16_products_;  // or none
};

}  // namespace longspan::bench
