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

// Scaled scores of the query's keys.
std::vector<double> Scores(const SoftmaxAttentionInputs& inputs,
                           const Sizes& sizes, const Query& query) {
  std::vector<double> scores;
  for (int64_t j = query.keys.begin; j < query.keys.end; ++j) {
    double dot = 0.0;
    for (int64_t c = 0; c < sizes.head_dim; ++c) {
      dot += Get(inputs.q, query.b, query.i, query.h, c) *
             Get(inputs.k, query.b, j, query.g, c);
    }
    scores.push_back(inputs.scale * dot);
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

void WriteOutput(const SoftmaxAttentionInputs& inputs, const Sizes& sizes,
                 const Query& query, const std::vector<double>& scores,
                 double lse, const TensorView& o) {
  for (int64_t c = 0; c < sizes.head_dim; ++c) {
    double sum = 0.0;
    for (size_t n = 0; n < scores.size(); ++n) {
      sum += std::exp(scores[n] - lse) *
             Get(inputs.v, query.b, query.keys.begin + n, query.g, c);
    }
    Set(o, sum, query.b, query.i, query.h, c);
  }
}

// Gradients of all operands in double, added up query by query.
class GradientSums {
 public:
  GradientSums(const SoftmaxAttentionInputs& inputs, const Sizes& sizes)
      : inputs_(inputs),
        sizes_(sizes),
        d_k_(sizes.batch * sizes.key_tokens * sizes.key_heads * sizes.head_dim),
        d_v_(d_k_.size()) {}

  // delta = sum_c o_c do_c; d(score) = p (dp - delta).
  void AddQuery(const Query& query, const SoftmaxAttentionSaved& saved,
                const ConstTensorView& d_o, const TensorView& d_q) {
    const std::vector<double> scores = Scores(inputs_, sizes_, query);
    const double lse = Get(saved.lse, query.b, query.h, query.i);
    const double delta = Delta(query, saved.o, d_o);
    std::vector<double> d_query(sizes_.head_dim, 0.0);
    for (size_t n = 0; n < scores.size(); ++n) {
      const int64_t j = query.keys.begin + n;
      const double p = std::exp(scores[n] - lse);
      const double d_score = p * (ProbabilityGradient(query, j, d_o) - delta);
      AddKey(query, j, p, inputs_.scale * d_score, d_o, d_query);
    }
    for (int64_t c = 0; c < sizes_.head_dim; ++c) {
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

  double Delta(const Query& query, const ConstTensorView& o,
               const ConstTensorView& d_o) const {
    double sum = 0.0;
    for (int64_t c = 0; c < sizes_.head_dim; ++c) {
      sum += Get(o, query.b, query.i, query.h, c) *
             Get(d_o, query.b, query.i, query.h, c);
    }
    return sum;
  }

  double ProbabilityGradient(const Query& query, int64_t j,
                             const ConstTensorView& d_o) const {
    double sum = 0.0;
    for (int64_t c = 0; c < sizes_.head_dim; ++c) {
      sum += Get(d_o, query.b, query.i, query.h, c) *
             Get(inputs_.v, query.b, j, query.g, c);
    }
    return sum;
  }

  void AddKey(const Query& query, int64_t j, double p, double d_score,
              const ConstTensorView& d_o, std::vector<double>& d_query) {
    for (int64_t c = 0; c < sizes_.head_dim; ++c) {
      const int64_t at = Index(query.b, j, query.g, c);
      d_v_[at] += p * Get(d_o, query.b, query.i, query.h, c);
      d_k_[at] += d_score * Get(inputs_.q, query.b, query.i, query.h, c);
      d_query[c] += d_score * Get(inputs_.k, query.b, j, query.g, c);
    }
  }

  const SoftmaxAttentionInputs& inputs_;
  const Sizes& sizes_;
  std::vector<double> d_k_, d_v_;
};

class ReferenceSoftmaxAttention : public SoftmaxAttention {
 public:
  absl::Status Forward(const SoftmaxAttentionInputs& inputs, TensorView o,
                       TensorView lse, TensorView, Stream&) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckSoftmaxForward(inputs, o, lse, kReferenceOperands));
    ForEachQuery(inputs, sizes, [&](const Query& query) {
      const std::vector<double> scores = Scores(inputs, sizes, query);
      const double log_sum = LogSumExp(scores);
      WriteOutput(inputs, sizes, query, scores, log_sum, o);
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
    GradientSums sums(inputs, sizes);
    ForEachQuery(inputs, sizes, [&](const Query& query) {
      sums.AddQuery(query, saved, d_o, gradients.d_q);
    });
    sums.Write(gradients.d_k, gradients.d_v);
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<SoftmaxAttention> CreateReferenceSoftmaxAttention() {
  return std::make_unique<ReferenceSoftmaxAttention>();
}

}  // namespace longspan::kernels
