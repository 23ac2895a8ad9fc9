#include "bench/attention/chunk_products.h"

#include <dnnl.h>

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace longspan::bench {
namespace {

constexpr int64_t kChunk = 64;

bool IsDense(const AttentionCase& c) {
  return c.linear.transition == kernels::Transition::kDense;
}

void Append(std::vector<Product> more, std::vector<Product>& products) {
  products.insert(products.end(), more.begin(), more.end());
}

}  // namespace

std::vector<Product> ForwardProducts(const AttentionCase& c) {
  constexpr int64_t n = kChunk;
  const int64_t d = c.head_dim;
  std::vector<Product> products = {{n, n, d, 'N', 'T'},   // Q K^T
                                   {n, d, n, 'N', 'N'}};  // P V
  if (c.group == AttentionGroup::kSoftmax) return products;
  Append({{n, d, d, 'N', 'N'},   // Q S
          {d, d, n, 'T', 'N'}},  // K^T V
         products);
  if (!IsDense(c)) return products;
  Append({{n, n, d, 'N', 'T'},   // K K^T
          {n, d, d, 'N', 'N'},   // K S
          {n, d, n, 'N', 'N'}},  // the solve for U
         products);
  return products;
}

std::vector<Product> BackwardProducts(const AttentionCase& c) {
  constexpr int64_t n = kChunk;
  const int64_t d = c.head_dim;
  std::vector<Product> products = {{n, n, d, 'N', 'T'},   // Q K^T
                                   {n, n, d, 'N', 'T'},   // dO V^T
                                   {n, d, n, 'N', 'N'},   // dP K
                                   {n, d, n, 'T', 'N'},   // dP^T Q
                                   {n, d, n, 'T', 'N'}};  // P^T dO
  if (c.group == AttentionGroup::kSoftmax) return products;
  Append({{n, d, d, 'N', 'T'},   // dO S^T
          {n, d, d, 'N', 'T'},   // V dS^T
          {n, d, d, 'N', 'N'},   // K dS
          {d, d, n, 'T', 'N'}},  // Q^T dO
         products);
  if (!IsDense(c)) return products;
  Append({{n, n, d, 'N', 'T'},   // K K^T
          {n, d, d, 'N', 'N'},   // K S
          {n, d, n, 'N', 'N'},   // the solve for U
          {n, d, n, 'T', 'N'},   // and its transpose, for N
          {n, n, d, 'N', 'T'},   // dL = N U^T
          {n, d, n, 'N', 'N'},   // dL K
          {n, d, n, 'T', 'N'},   // dL^T K
          {n, d, d, 'N', 'T'},   // N S^T
          {d, d, n, 'T', 'N'}},  // K^T N
         products);
  return products;
}

ChunkProducts::ChunkProducts(std::vector<Product> products)
    : products_(std::move(products)) {
  int64_t largest = 0;
  for (const Product& p : products_) {
    largest = std::max({largest, p.m * p.n, p.m * p.k, p.k * p.n});
  }
  for (kernels::HostTensor* tensor : {&a_, &b_, &c_}) {
    *tensor = kernels::HostTensor(kernels::DType::kF32, {largest});
    kernels::FillUniform(1, -1.0, 1.0, tensor->view());
  }
}

double ChunkProducts::Operations() const {
  double sum = 0.0;
  for (const Product& p : products_) sum += 2.0 * p.m * p.n * p.k;
  return sum;
}

void ChunkProducts::Run(int64_t chunks) const {
  const float* a = a_.view().data_as<float>();
  const float* b = b_.view().data_as<float>();
  float* c = c_.view().data_as<float>();
  for (int64_t i = 0; i < chunks; ++i) {
    for (const Product& p : products_) {
      LONGSPAN_CHECK(dnnl_sgemm(p.transpose_a, p.transpose_b, p.m, p.n, p.k,
                                1.0f, a, p.transpose_a == 'N' ? p.k : p.m, b,
                                p.transpose_b == 'N' ? p.n : p.k, 0.0f, c,
                                p.n) == dnnl_success);
    }
  }
}

}  // namespace longspan::bench
