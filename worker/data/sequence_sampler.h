// Which window of the text each training sequence is: a pure function of
// (seed, number of the sequence), so data order does not depend on ranks,
// batching or restarts.
//
// Sequence n of a run is sequence n % batch_size of step n / batch_size. Its
// window of `sequence_length` tokens begins at a uniformly random place at
// which every token, the last one included, has a target.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/data/token_source.h"

namespace longspan::worker {

// Tokens [begin, end) of a sequence: what one rank computes.
struct TokenSpan {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};

class SequenceSampler {
 public:
  // kInvalidArgument if the text has no window of sequence_length + 1 tokens.
  // `source` must outlive the sampler.
  static absl::StatusOr<SequenceSampler> Create(const TokenSource& source,
                                                int64_t sequence_length,
                                                uint64_t seed);

  // Offset in the source of the first token of sequence `number`.
  int64_t Start(int64_t number) const;

  // Tokens `span` of sequence `number` and their targets; both spans have
  // span.size() elements.
  absl::Status Read(int64_t number, const TokenSpan& span,
                    absl::Span<int32_t> inputs,
                    absl::Span<int32_t> targets) const;

 private:
  SequenceSampler(const TokenSource& source, int64_t sequence_length,
                  uint64_t seed)
      : source_(&source), sequence_length_(sequence_length), seed_(seed) {}

  const TokenSource* source_;
  int64_t sequence_length_;
  uint64_t seed_;
};

}  // namespace longspan::worker
