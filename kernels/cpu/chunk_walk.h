// The chunks of a range of tokens: cut at multiples of kChunk and at document
// starts, so that a document start is always the first token of a chunk, and
// at most the first chunk of a block of kChunk tokens continues a document.
#pragma once

#include "kernels/cost/linear_attention_plan.h"
#include "kernels/cpu/simd.h"

namespace longspan::kernels::LONGSPAN_ISA {

struct Chunk {
  int64_t begin;
  int64_t end;
  bool starts_document;  // the state before it is zero

  int64_t size() const { return end - begin; }
};

class ChunkWalk {
 public:
  ChunkWalk(int64_t tokens, const int64_t* starts, int64_t count)
      : tokens_(tokens), starts_(starts), count_(count) {}

  // The chunk that begins (ends) at a chunk border.
  Chunk From(int64_t begin) const {
    int64_t end = (begin / kChunk + 1) * kChunk;
    if (end > tokens_) end = tokens_;
    const int64_t next = StartsUpTo(begin);  // index of the next start
    if (next < count_ && starts_[next] < end) end = starts_[next];
    return {begin, end, next > 0 && starts_[next - 1] == begin};
  }
  Chunk Until(int64_t end) const {
    int64_t begin = (end - 1) / kChunk * kChunk;
    const int64_t next = StartsUpTo(end - 1);
    const bool has_start = next > 0 && starts_[next - 1] >= begin;
    if (has_start) begin = starts_[next - 1];
    return {begin, end, has_start};
  }

  int64_t tokens() const { return tokens_; }
  int64_t first_start() const { return count_ > 0 ? starts_[0] : tokens_; }
  int64_t last_start() const { return count_ > 0 ? starts_[count_ - 1] : 0; }

 private:
  // How many starts are <= position.
  int64_t StartsUpTo(int64_t position) const {
    int64_t low = 0;
    int64_t high = count_;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (starts_[middle] <= position) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  const int64_t tokens_;
  const int64_t* const starts_;
  const int64_t count_;
};

template <typename Sequence>
ChunkWalk WalkOf(const Sequence& sequence) {
  return ChunkWalk(sequence.tokens, sequence.document_starts,
                   sequence.document_count);
}

}  // namespace longspan::kernels::LONGSPAN_ISA
