#include "bench/attention/chunk_products.h"

#include <dnnl.h>

#include <algorithm>
#include <dnnl.hpp>
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

// oneDNN asks the kernel for AMX by itself.
class ChunkProducts::Bf16Product {
 public:
  Bf16Product(const Product& p, const kernels::HostTensor& a,
              const kernels::HostTensor& b, const kernels::HostTensor& c)
      : engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        a_(Matrix(p.m, p.k, p.transpose_a, Type::bf16), engine_,
           a.view().data()),
        b_(Matrix(p.k, p.n, p.transpose_b, Type::bf16), engine_,
           b.view().data()),
        c_(Matrix(p.m, p.n, 'N', Type::f32), engine_, c.view().data()),
        matmul_(dnnl::matmul::primitive_desc(
            dnnl::matmul::desc(a_.get_desc(), b_.get_desc(), c_.get_desc()),
            engine_)) {}

  void Run() {
    matmul_.execute(
        stream_,
        {{DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, b_}, {DNNL_ARG_DST, c_}});
    stream_.wait();
  }

 private:
  using Type = dnnl::memory::data_type;

  static dnnl::memory::desc Matrix(int64_t rows, int64_t cols, char transpose,
                                   Type type) {
    return {{rows, cols},
            type,
            transpose == 'N' ? dnnl::memory::dims{cols, 1}
                             : dnnl::memory::dims{1, rows}};
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::memory a_, b_, c_;
  dnnl::matmul matmul_;
};

ChunkProducts::~ChunkProducts() = default;

ChunkProducts::ChunkProducts(std::vector<Product> products, bool bf16)
    : products_(std::move(products)) {
  int64_t largest = 0;
  for (const Product& p : products_) {
    largest = std::max({largest, p.m * p.n, p.m * p.k, p.k * p.n});
  }
  for (kernels::HostTensor* tensor : {&a_, &b_, &c_}) {
    *tensor = kernels::HostTensor(
        bf16 && tensor != &c_ ? kernels::DType::kBF16 : kernels::DType::kF32,
        {largest});
    kernels::FillUniform(1, -1.0, 1.0, tensor->view());
  }
  if (!bf16) return;
  for (const Product& p : products_) {
    bf16_products_.push_back(std::make_unique<Bf16Product>(p, a_, b_, c_));
  }
}

double ChunkProducts::Operations() const {
  double sum = 0.0;
  for (const Product& p : products_) sum += 2.0 * p.m * p.n * p.k;
  return sum;
}

void ChunkProducts::Run(int64_t chunks) const {
  for (int64_t i = 0; i < chunks && !bf16_products_.empty(); ++i) {
    for (const auto& product : bf16_products_) product->Run();
  }
  if (!bf16_products_.empty()) return;
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
