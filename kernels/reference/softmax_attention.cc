// Softmax attention by plain loops in double, one query at a time.
#include "kernels/api/softmax_attention.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "common/base/status_macros.h"
#include "kernels/api/softmax_attention_operands.h"
#include "kernels/reference/element_access.h"
#include "kernels/reference/reference_ops.h"

namespace longspan::kernels {
namespace {

using Sizes = SoftmaxAttentionSizes;

// One query: batch element b, query head h with key head g, token i, and the
// keys that it sees.
struct Query {
  int64_t b, h, g, i;
  KeyRange keys;
};

template <typename Fn>
void ForEachQuery(const SoftmaxAttentionInputs& inputs, const Sizes& sizes,
                  const Fn& fn) {
  const int64_t group = sizes.heads / sizes.key_heads;
  for (int64_t b = 0; b < sizes.batch; ++b) {
    for (int64_t h = 0; h < sizes.heads; ++h) {
      for (int64_t i = 0; i < sizes.query_tokens; ++i) {
        fn(Query{b, h, h / group, i, VisibleKeys(inputs, i)});
      }
    }
  }
}

// The numbers of [B, T, H, D], whatever their type and strides.
class Rows {
 public:
  explicit Rows(const ConstTensorView& view)
      : tokens_(view.size(1)), heads_(view.size(2)), dim_(view.size(3)) {
    data_.reserve(view.element_count());
    for (int64_t b = 0; b < view.size(0); ++b) {
      for (int64_t t = 0; t < tokens_; ++t) {
        for (int64_t h = 0; h < heads_; ++h) {
          for (int64_t c = 0; c < dim_; ++c) {
            data_.push_back(Get(view, b, t, h, c));
          }
        }
      }
    }
  }

  const double* row(int64_t b, int64_t t, int64_t h) const {
    return data_.data() + ((b * tokens_ + t) * heads_ + h) * dim_;
  }

 private:
  const int64_t tokens_, heads_, dim_;
  std::vector<double> data_;
};

struct Operands {
  explicit Operands(const SoftmaxAttentionInputs& inputs)
      : q(inputs.q), k(inputs.k), v(inputs.v), scale(inputs.scale) {}

  Rows q, k, v;
  double scale;
};

double Dot(int64_t size, const double* a, const double* b) {
  double sum = 0.0;
  for (int64_t c = 0; c < size; ++c) sum += a[c] * b[c];
  return sum;
}

void AddScaled(int64_t size, double factor, const double* from, double* to) {
  for (int64_t c = 0; c < size; ++c) to[c] += factor * from[c];
}

// Scaled scores of the query's keys.
std::vector<double> Scores(const Operands& operands, const Sizes& sizes,
                           const Query& query) {
  std::vector<double> scores;
  const double* q = operands.q.row(query.b, query.i, query.h);
  for (int64_t j = query.keys.begin; j < query.keys.end; ++j) {
    const double* k = operands.k.row(query.b, j, query.g);
    scores.push_back(operands.scale * Dot(sizes.head_dim, q, k));
  }
  return scores;
}

double LogSumExp(const std::vector<double>& scores) {
  if (scores.empty()) return -INFINITY;
  const double max = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (double score : scores) sum += std::exp(score - max);
  return max + std::log(sum);
}

void WriteOutput(const Operands& operands, const Sizes& sizes,
                 const Query& query, const std::vector<double>& scores,
                 double lse, const TensorView& o) {
  std::vector<double> sums(sizes.head_dim, 0.0);
  for (size_t n = 0; n < scores.size(); ++n) {
    const int64_t j = query.keys.begin + static_cast<int64_t>(n);
    AddScaled(sizes.head_dim, std::exp(scores[n] - lse),
              operands.v.row(query.b, j, query.g), sums.data());
  }
  for (int64_t c = 0; c < sizes.head_dim; ++c) {
    Set(o, sums[c], query.b, query.i, query.h, c);
  }
}

// Gradients of all operands in double, added up query by query.
class GradientSums {
 public:
  GradientSums(const SoftmaxAttentionInputs& inputs,
               const SoftmaxAttentionSaved& saved, const ConstTensorView& d_o,
               const Sizes& sizes)
      : operands_(inputs),
        o_(saved.o),
        d_o_(d_o),
        lse_(saved.lse),
        sizes_(sizes),
        d_k_(sizes.batch * sizes.key_tokens * sizes.key_heads * sizes.head_dim),
        d_v_(d_k_.size()) {}

  // delta = sum_c o_c do_c; d(score) = p (dp - delta).
  void AddQuery(const Query& query, const TensorView& d_q) {
    const int64_t size = sizes_.head_dim;
    const std::vector<double> scores = Scores(operands_, sizes_, query);
    const double lse = Get(lse_, query.b, query.h, query.i);
    const double* d_o = d_o_.row(query.b, query.i, query.h);
    const double delta = Dot(size, o_.row(query.b, query.i, query.h), d_o);
    std::vector<double> d_query(size, 0.0);
    for (size_t n = 0; n < scores.size(); ++n) {
      const int64_t j = query.keys.begin + static_cast<int64_t>(n);
      const double p = std::exp(scores[n] - lse);
      const double d_p = Dot(size, d_o, operands_.v.row(query.b, j, query.g));
      AddKey(query, j, p, operands_.scale * p * (d_p - delta), d_query.data());
    }
    for (int64_t c = 0; c < size; ++c) {
      Set(d_q, d_query[c], query.b, query.i, query.h, c);
    }
  }

  void Write(const TensorView& d_k, const TensorView& d_v) const {
    for (int64_t b = 0; b < sizes_.batch; ++b) {
      for (int64_t j = 0; j < sizes_.key_tokens; ++j) {
        for (int64_t g = 0; g < sizes_.key_heads; ++g) {
          for (int64_t c = 0; c < sizes_.head_dim; ++c) {
            Set(d_k, d_k_[Index(b, j, g, c)], b, j, g, c);
            Set(d_v, d_v_[Index(b, j, g, c)], b, j, g, c);
          }
        }
      }
    }
  }

 private:
  int64_t Index(int64_t b, int64_t j, int64_t g, int64_t c) const {
    return ((b * sizes_.key_tokens + j) * sizes_.key_heads + g) *
               sizes_.head_dim +
           c;
  }

  void AddKey(const Query& query, int64_t j, double p, double d_score,
              double* d_query) {
    const int64_t size = sizes_.head_dim;
    const int64_t at = Index(query.b, j, query.g, 0);
    AddScaled(size, p, d_o_.row(query.b, query.i, query.h), &d_v_[at]);
    AddScaled(size, d_score, operands_.q.row(query.b, query.i, query.h),
              &d_k_[at]);
    AddScaled(size, d_score, operands_.k.row(query.b, j, query.g), d_query);
  }

  const Operands operands_;
  const Rows o_, d_o_;
  const ConstTensorView lse_;
  const Sizes& sizes_;
  std::vector<double> d_k_, d_v_;
};

class ReferenceSoftmaxAttention : public SoftmaxAttention {
 public:
  absl::Status Forward(const SoftmaxAttentionInputs& inputs, TensorView o,
                       TensorView lse, TensorView, Stream&) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckSoftmaxForward(inputs, o, lse, kReferenceOperands));
    const Operands operands(inputs);
    ForEachQuery(inputs, sizes, [&](const Query& query) {
      const std::vector<double> scores = Scores(operands, sizes, query);
      const double log_sum = LogSumExp(scores);
      WriteOutput(operands, sizes, query, scores, log_sum, o);
      Set(lse, log_sum, query.b, query.h, query.i);
    });
    return absl::OkStatus();
  }

  absl::Status Backward(const SoftmaxAttentionInputs& inputs,
                        const SoftmaxAttentionSaved& saved, ConstTensorView d_o,
                        const SoftmaxAttentionGradients& gradients, TensorView,
                        Stream&) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckSoftmaxBackward(inputs, saved, d_o, gradients,
                                          kReferenceOperands));
    GradientSums sums(inputs, saved, d_o, sizes);
    ForEachQuery(inputs, sizes, [&](const Query& query) {
      sums.AddQuery(query, gradients.d_q);
    });
    sums.Write(gradients.d_k, gradients.d_v);
    return absl::OkStatus();
  }

  absl::Status Merge(const SoftmaxAttentionSaved& part, TensorView o,
                     TensorView lse, Stream&) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckSoftmaxMerge(part, o, lse, kReferenceOperands));
    for (int64_t b = 0; b < sizes.batch; ++b) {
      for (int64_t h = 0; h < sizes.heads; ++h) {
        for (int64_t i = 0; i < sizes.query_tokens; ++i) {
          const SoftmaxMergeStep step =
              MergeStepOf(Get(lse, b, h, i), Get(part.lse, b, h, i));
          MergeRow(step.weight, sizes.head_dim,
                   part.o.Select(0, b).Select(0, i).Select(0, h),
                   o.Select(0, b).Select(0, i).Select(0, h));
          Set(lse, step.lse, b, h, i);
        }
      }
    }
    return absl::OkStatus();
  }

 private:
  static void MergeRow(double weight, int64_t size, const ConstTensorView& part,
                       const TensorView& o) {
    for (int64_t c = 0; c < size; ++c) {
      const double before = Get(o, c);
      Set(o, before + weight * (Get(part, c) - before), c);
    }
  }
};

}  // namespace

std::unique_ptr<SoftmaxAttention> CreateReferenceSoftmaxAttention() {
  return std::make_unique<ReferenceSoftmaxAttention>();
}

}  // namespace longspan::kernels
