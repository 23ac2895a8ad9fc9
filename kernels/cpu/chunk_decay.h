// What the decay does inside one chunk of n tokens. With b_i the sum of the
// chunk's log decays up to and including token i,
//
//     weights(i, j) = scale * exp(b_i - b_j)  for j <= i, else 0
//     from_start[i] = scale * exp(b_i)
//     to_end[j]     = exp(b_{n-1} - b_j)
//     total         = exp(b_{n-1})
//
// All exponents are <= 0 for gates <= 0. Sums are kept in double, so that a few
// strong gates do not cost the weak ones their precision.
#pragma once

#include <cmath>

#include "kernels/cost/linear_attention_plan.h"
#include "kernels/cpu/linear_attention_kernels.h"
#include "kernels/cpu/tile_product.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
class ChunkDecay {
 public:
  // `tables` holds 8 * kChunk elements, `weights` kChunk * kChunk.
  ChunkDecay(const LinearAttentionSequence<T>& sequence, T* tables, T* weights)
      : sequence_(sequence),
        from_start_(tables),
        to_end_table_(tables + kChunk),
        toeplitz_(tables + 2 * kChunk),
        totals_(tables + 4 * kChunk),
        scratch_(tables + 5 * kChunk),
        weights_(weights) {
    if (sequence.decay != DecayKind::kPerToken) FillConstantTables();
  }

  // Prepares the members below for tokens [begin, end).
  void SetChunk(int64_t begin, int64_t end) { Set(begin, end, true); }

  // The same but for the weights, for a chunk that only moves a state.
  void SetBorders(int64_t begin, int64_t end) { Set(begin, end, false); }

  // weights(i, j) for j = col..; rows i of a tile follow at weight_stride().
  const T* weights(int64_t i, int64_t col) const {
    if (sequence_.decay == DecayKind::kPerToken) {
      return weights_ + i * kChunk + col;
    }
    return toeplitz_ + (kChunk - 1) - i + col;
  }
  int64_t weight_stride() const {
    return sequence_.decay == DecayKind::kPerToken ? kChunk : -1;
  }
  const T* from_start() const { return from_start_; }
  const T* to_end() const { return to_end_; }
  T total() const { return total_; }

 private:
  void Set(int64_t begin, int64_t end, bool wants_weights) {
    const int64_t n = end - begin;
    if (sequence_.decay == DecayKind::kPerToken) {
      FillGatedTables(begin, n, wants_weights);
      return;
    }
    to_end_ = to_end_table_ + (kChunk - n);
    total_ = totals_[n - 1];
  }

  static void ExpAll(const T* from, int64_t count, T* to) {
    for (int64_t i = 0; i < count; i += kLanes<T>) {
      Store(to + i, Exp<T>(Load(from + i)));
    }
  }

  // Powers of the constant decay.
  void FillConstantTables() {
    const T scale = static_cast<T>(sequence_.scale);
    for (int64_t i = 0; i < kChunk; ++i) {
      scratch_[i] = static_cast<T>(i * sequence_.log_decay);
    }
    ExpAll(scratch_, kChunk, to_end_table_);  // lambda^i, reversed below
    for (int64_t m = 0; m < kChunk; ++m) {
      toeplitz_[m] = scale * to_end_table_[kChunk - 1 - m];
      toeplitz_[kChunk + m] = T{0};
      scratch_[m] = static_cast<T>((m + 1) * sequence_.log_decay);
    }
    ExpAll(scratch_, kChunk, totals_);
    for (int64_t m = 0; m < kChunk; ++m) from_start_[m] = scale * totals_[m];
    for (int64_t m = 0; m < kChunk / 2; ++m) {
      const T low = to_end_table_[m];
      to_end_table_[m] = to_end_table_[kChunk - 1 - m];
      to_end_table_[kChunk - 1 - m] = low;
    }
  }

  void FillGatedTables(int64_t begin, int64_t n, bool wants_weights) {
    const T scale = static_cast<T>(sequence_.scale);
    double sums[kChunk];
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) {
      const double gate =
          sequence_.log_gate.data[(begin + i) * sequence_.log_gate.stride];
      sum += gate < kLowestLogGate ? kLowestLogGate : gate;
      sums[i] = sum;
    }
    for (int64_t i = n; i < kChunk; ++i) sums[i] = sum;
    for (int64_t i = 0; i < kChunk; ++i) {
      scratch_[i] = static_cast<T>(sums[i]);
      to_end_table_[i] = static_cast<T>(sum - sums[i]);
    }
    ExpAll(scratch_, kChunk, from_start_);
    total_ = from_start_[n - 1];
    for (int64_t i = 0; i < kChunk; ++i) from_start_[i] *= scale;
    ExpAll(to_end_table_, kChunk, to_end_table_);
    to_end_ = to_end_table_;
    if (wants_weights) FillWeights(sums, n, scale);
  }

  // Blocks of kStrip rows: left of the diagonal block,
  // exp(b_i - b_j) = exp(b_i - b_s) exp(b_s - b_j) with s the token before the
  // strip; inside it, row by row: exp(b_i - b_j) = exp(g_i) exp(b_{i-1} - b_j).
  void FillWeights(const double* sums, int64_t n, T scale) {
    T* left = toeplitz_;                 // exp(b_s - b_j)
    T* row_factor = toeplitz_ + kChunk;  // scale * exp(b_i - b_s)
    T* gates = totals_;                  // exp(g_i)
    for (int64_t i = 0; i < kChunk; ++i) {
      const int64_t strip = i / kStrip * kStrip;
      row_factor[i] =
          static_cast<T>(strip == 0 ? 0.0 : sums[i] - sums[strip - 1]);
      gates[i] = static_cast<T>(i == 0 ? 0.0 : sums[i] - sums[i - 1]);
    }
    ExpAll(row_factor, kChunk, row_factor);
    ExpAll(gates, kChunk, gates);
    for (int64_t strip = 0; strip < n; strip += kStrip) {
      for (int64_t j = 0; j < strip; ++j) {
        scratch_[j] = static_cast<T>(sums[strip - 1] - sums[j]);
      }
      ExpAll(scratch_, strip, left);
      FillStrip(strip, left, row_factor, gates, scale);
    }
  }

  void FillStrip(int64_t strip, const T* left, const T* row_factor,
                 const T* gates, T scale) {
    for (int64_t i = strip; i < strip + kStrip; ++i) {
      T* row = weights_ + i * kChunk;
      const T factor = scale * row_factor[i];
      for (int64_t j = 0; j < strip; j += kLanes<T>) {
        Store(row + j, factor * Load(left + j));
      }
      for (int64_t j = strip; j < strip + kStrip; j += kLanes<T>) {
        Vec<T> value = {};
        if (i > strip) value = gates[i] * Load(row - kChunk + j);
        Store(row + j, value);
      }
      row[i] = scale;
      for (int64_t j = strip + kStrip; j < kChunk; j += kLanes<T>) {
        Store(row + j, Vec<T>{});
      }
    }
  }

  const LinearAttentionSequence<T>& sequence_;
  T* from_start_;
  T* to_end_table_;
  T* toeplitz_;
  T* totals_;
  T* scratch_;
  T* weights_;
  const T* to_end_ = nullptr;
  T total_ = T{1};
};

}  // namespace longspan::kernels::LONGSPAN_ISA
