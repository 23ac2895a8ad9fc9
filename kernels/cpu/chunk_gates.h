// What gates of one decay per channel do inside a chunk of n tokens.
//
// The chunk is cut into strips of kStrip tokens. With g_t the gates of token t
// (a row of key_dim channels), all tables are products of exp(g), so every
// factor is in [0, 1] and no exponent is positive:
//
//     gate(t)    = exp(g_t)
//     from(t)    = prod of gates from the strip's first token up to t, with t
//     to(t)      = prod of gates after t up to the strip's last token
//     strip(s)   = exp(sum of the gates of strip s)
//     before(s)  = exp(sum of the chunk's gates before strip s)
//     after(s)   = exp(sum of the chunk's gates after strip s)
//     total()    = exp(sum of the chunk's gates)
//
// What is carried from chunk to chunk comes from sums: a product of 64 rounded
// exponentials a chunk would drift where gates are close to 1. Sums are of one
// sign and never subtracted, so a strong gate costs the weak ones nothing.
#pragma once

#include "kernels/cost/linear_attention_plan.h"
#include "kernels/cost/vector_pad.h"
#include "kernels/cpu/linear_attention_kernels.h"
#include "kernels/cpu/tile_product.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
class ChunkGates {
 public:
  // `tables` holds kGateTableRows rows of key_pad elements.
  ChunkGates(const LinearAttentionSequence<T>& sequence, T* tables)
      : sequence_(sequence),
        key_pad_(PadToVector(sequence.key_dim)),
        gates_(tables),
        from_(gates_ + kChunk * key_pad_),
        to_(from_ + kChunk * key_pad_),
        sums_(to_ + kChunk * key_pad_),
        strips_(sums_ + kStrips * key_pad_),
        before_(strips_ + kStrips * key_pad_),
        after_(before_ + kStrips * key_pad_),
        total_(after_ + kStrips * key_pad_),
        total_sum_(total_ + key_pad_) {}

  // Fills the tables for tokens [begin, end).
  void SetChunk(int64_t begin, int64_t end) {
    const int64_t n = end - begin;
    for (int64_t first = 0; first < n; first += kStrip) {
      const int64_t last = first + kStrip < n ? first + kStrip : n;
      for (int64_t col = 0; col < key_pad_; col += kLanes<T>) {
        FillStrip(begin, first, last, col);
      }
    }
    const int64_t strips = (n + kStrip - 1) / kStrip;
    for (int64_t col = 0; col < key_pad_; col += kLanes<T>) {
      FillTotals(strips, col);
    }
  }

  const T* gate(int64_t i) const { return gates_ + i * key_pad_; }
  const T* from(int64_t i) const { return from_ + i * key_pad_; }
  const T* to(int64_t i) const { return to_ + i * key_pad_; }
  const T* strip(int64_t s) const { return strips_ + s * key_pad_; }
  const T* before(int64_t s) const { return before_ + s * key_pad_; }
  const T* after(int64_t s) const { return after_ + s * key_pad_; }
  const T* total() const { return total_; }
  // Sum of the chunk's gates.
  const T* total_sum() const { return total_sum_; }

 private:
  static constexpr int64_t kStrips = kChunk / kStrip;

  // One gate a token, or none, is the same for all channels.
  Vec<T> LogGate(int64_t t, int64_t col) const {
    if (sequence_.decay == DecayKind::kNone) return Vec<T>{};
    const T* row = sequence_.log_gate.data + t * sequence_.log_gate.stride;
    if (sequence_.decay == DecayKind::kPerToken) return Splat(*row);
    const int64_t left = sequence_.key_dim - col;
    return left > 0 ? LoadFirst(row + col, left) : Vec<T>{};
  }

  // Tokens [first, last) of the chunk are a strip.
  void FillStrip(int64_t begin, int64_t first, int64_t last, int64_t col) {
    Vec<T> sum = {};
    Vec<T> product = Splat(T{1});
    for (int64_t i = first; i < last; ++i) {
      const Vec<T> log_gate = LogGate(begin + i, col);
      const Vec<T> gate = Exp<T>(log_gate);
      sum += log_gate;
      product *= gate;
      Store(gates_ + i * key_pad_ + col, gate);
      Store(from_ + i * key_pad_ + col, product);
    }
    product = Splat(T{1});
    for (int64_t i = last - 1; i >= first; --i) {
      Store(to_ + i * key_pad_ + col, product);
      product *= Load(gates_ + i * key_pad_ + col);
    }
    const int64_t at = first / kStrip * key_pad_ + col;
    Store(sums_ + at, sum);
    Store(strips_ + at, Exp<T>(sum));
  }

  void FillTotals(int64_t strips, int64_t col) {
    Vec<T> sum = {};
    for (int64_t s = 0; s < strips; ++s) {
      Store(before_ + s * key_pad_ + col, Exp<T>(sum));
      sum += Load(sums_ + s * key_pad_ + col);
    }
    Store(total_sum_ + col, sum);
    Store(total_ + col, Exp<T>(sum));
    sum = Vec<T>{};
    for (int64_t s = strips - 1; s >= 0; --s) {
      Store(after_ + s * key_pad_ + col, Exp<T>(sum));
      sum += Load(sums_ + s * key_pad_ + col);
    }
  }

  const LinearAttentionSequence<T>& sequence_;
  const int64_t key_pad_;
  T* const gates_;
  T* const from_;
  T* const to_;
  T* const sums_;
  T* const strips_;
  T* const before_;
  T* const after_;
  T* const total_;
  T* const total_sum_;
};

// to[i] = scale * from[i] o factors(i), in rows of key_pad elements.
template <typename T, typename Factors>
void WeightRows(const StridedRows<const T>& from, int64_t rows, int64_t cols,
                T scale, const Factors& factors, T* to, int64_t to_stride) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* factor = factors(i);
    for (int64_t col = 0; col < to_stride; col += kLanes<T>) {
      Vec<T> value = {};
      if (cols > col) value = LoadFirst(from.Row(i) + col, cols - col);
      Store(to + i * to_stride + col, scale * value * Load(factor + col));
    }
  }
}

// rows[i] = rows[i] o factors(i), in place.
template <typename T, typename Factors>
void RescaleRows(int64_t rows, const Factors& factors, T* data,
                 int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* factor = factors(i);
    T* row = data + i * stride;
    for (int64_t col = 0; col < stride; col += kLanes<T>) {
      Store(row + col, Load(row + col) * Load(factor + col));
    }
  }
}

// Rows [first, last) of panels, times `factors`, a number per column.
template <typename T>
void RescalePanelRows(const PanelMatrix<T>& panels, int64_t first, int64_t last,
                      const T* factors) {
  for (int64_t col = 0; col < panels.cols; col += kPanelLanes<T>) {
    const int64_t width = panels.Width(col);
    for (int64_t i = first; i < last; ++i) {
      T* row = panels.Panel(col) + i * width;
      for (int64_t lane = 0; lane < width; lane += kLanes<T>) {
        Store(row + lane, Load(row + lane) * Load(factors + col + lane));
      }
    }
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
