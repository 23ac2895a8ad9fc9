// The algebra of range summaries (docs/math.md). A run of tokens maps the
// state that enters it to the state that leaves it,
//
//     S  ->  e^A S + S_ext,
//
// so the pair (A, S_ext) is all that other ranks need to know. Pairs compose:
// (A2, S2) after (A1, S1) is (A1 + A2, e^A2 S1 + S2). A is one number per batch
// element and head: 0 for the identity, n log(lambda) for a constant
// transition, the sum of log gates for a gated one, -infinity once a document
// begins in the range. With a gate per channel every row of the state has a
// number of its own; with the delta rule a matrix M [Dk, Dk] stands in place of
// e^A, zero once a document begins. Pure: no thread, clock, I/O or logging.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/api/tensor_view.h"
#include "kernels/cost/workspace.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

struct MemoryShape {
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t key_dim = 1;
  int64_t value_dim = 1;
  kernels::LinearAttentionDecay decay = kernels::LinearAttentionDecay::kHead;

  int64_t state_count() const { return batch * heads * key_dim * value_dim; }
  int64_t decay_count() const {
    using kernels::LinearAttentionDecay;
    if (decay == LinearAttentionDecay::kHead) return batch * heads;
    const bool matrix = decay == LinearAttentionDecay::kMatrix;
    return batch * heads * key_dim * (matrix ? key_dim : 1);
  }
};

// The summary of one head, or of one row where rows have decays of their own,
// on the host, for reasoning and tests.
struct MemorySummary {
  double log_decay = 0.0;     // A
  std::vector<double> state;  // S_ext, key_dim * value_dim
};

// `later` after `earlier`.
MemorySummary Compose(const MemorySummary& later, const MemorySummary& earlier);

// Where the gathered summaries lie: one row per part of the piece, the states
// followed by the decays where those travel. Numbers are of the type of sums;
// where states are bf16 each holds two of a state's.
class SummaryBuffer {
 public:
  // Elements of one row.
  static int64_t RowCount(const MemoryShape& shape, bool with_decay,
                          bool bf16 = false) {
    return StateSpace(shape, bf16) + (with_decay ? shape.decay_count() : 0);
  }

  // `buffer` [parts, RowCount] contiguous.
  SummaryBuffer(kernels::TensorView buffer, const MemoryShape& shape,
                bool bf16 = false)
      : buffer_(buffer), shape_(shape), bf16_(bf16) {}

  kernels::TensorView Row(int part) const;    // [RowCount]
  kernels::TensorView State(int part) const;  // [B, H, Dk, Dv]
  // [B, H], [B, H, Dk] or [B, H, Dk, Dk].
  kernels::TensorView Decay(int part) const;
  // [parts, B, H, Dk, Dv], strided; not of bf16.
  kernels::TensorView States() const;
  // [parts, B, H (, Dk (, Dk))], strided.
  kernels::TensorView Decays() const;

 private:
  static int64_t StateSpace(const MemoryShape& shape, bool bf16) {
    return bf16 ? (shape.state_count() + 1) / 2 : shape.state_count();
  }
  int64_t state_space() const { return StateSpace(shape_, bf16_); }

  kernels::TensorView buffer_;
  MemoryShape shape_;
  bool bf16_;
};

// Fills log_decays [parts, B, H] of the parts of the piece that are not empty,
// for transitions that do not depend on the tokens: the part's tokens times
// log_decay_per_token[h], or -infinity where a document begins in it.
void FillConstantDecays(const SequenceShard& shard,
                        absl::Span<const double> log_decay_per_token,
                        kernels::TensorView log_decays);

}  // namespace longspan::worker
