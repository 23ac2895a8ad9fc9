#include "worker/parallel/memory_state.h"

#include <cmath>
#include <limits>

#include "common/base/check.h"

namespace longspan::worker {
namespace {

using kernels::LinearAttentionDecay;
using kernels::TensorView;

void Store(TensorView out, int64_t index, double value) {
  if (out.dtype() == kernels::DType::kF64) {
    out.data_as<double>()[index] = value;
  } else {
    out.data_as<float>()[index] = static_cast<float>(value);
  }
}

}  // namespace

MemorySummary Compose(const MemorySummary& later,
                      const MemorySummary& earlier) {
  LONGSPAN_CHECK_EQ(later.state.size(), earlier.state.size());
  MemorySummary both = later;
  both.log_decay = later.log_decay + earlier.log_decay;
  const double decay = std::exp(later.log_decay);
  for (size_t i = 0; i < both.state.size(); ++i) {
    both.state[i] += decay * earlier.state[i];
  }
  return both;
}

TensorView SummaryBuffer::Row(int part) const {
  return buffer_.Slice(0, part, part + 1).Reshape({buffer_.size(1)});
}

TensorView SummaryBuffer::State(int part) const {
  return TensorView(
      Row(part).data(), bf16_ ? kernels::DType::kBF16 : buffer_.dtype(),
      {shape_.batch, shape_.heads, shape_.key_dim, shape_.value_dim});
}

namespace {

// Splits the last dimension, decays of one or all heads of a batch element.
TensorView DecayShaped(TensorView decays, const MemoryShape& shape) {
  if (shape.decay == LinearAttentionDecay::kHead) return decays;
  decays = decays.SplitLast(shape.heads);
  const bool matrix = shape.decay == LinearAttentionDecay::kMatrix;
  return matrix ? decays.SplitLast(shape.key_dim) : decays;
}

}  // namespace

TensorView SummaryBuffer::Decay(int part) const {
  return DecayShaped(Row(part)
                         .Slice(0, state_space(), buffer_.size(1))
                         .SplitLast(shape_.batch),
                     shape_);
}

TensorView SummaryBuffer::States() const {
  LONGSPAN_CHECK(!bf16_) << "states of bf16 are taken one by one";
  return buffer_.Slice(1, 0, shape_.state_count())
      .SplitLast(shape_.batch)
      .SplitLast(shape_.heads)
      .SplitLast(shape_.key_dim);
}

TensorView SummaryBuffer::Decays() const {
  return DecayShaped(
      buffer_.Slice(1, state_space(), buffer_.size(1)).SplitLast(shape_.batch),
      shape_);
}

void FillConstantDecays(const SequenceShard& shard,
                        absl::Span<const double> log_decay_per_token,
                        TensorView log_decays) {
  const int64_t heads = static_cast<int64_t>(log_decay_per_token.size());
  int64_t index = 0;
  for (int part = 0; part < shard.filled_parts(); ++part) {
    const double tokens = static_cast<double>(shard.ranges()[part].size());
    for (int64_t i = 0; i < shard.batch() * heads; ++i) {
      const double decay = shard.document_starts_in(part)
                               ? -std::numeric_limits<double>::infinity()
                               : tokens * log_decay_per_token[i % heads];
      Store(log_decays, index++, decay);
    }
  }
}

}  // namespace longspan::worker
