#include "worker/data/sequence_sampler.h"

#include "absl/strings/str_cat.h"
#include "common/base/random.h"

namespace longspan::worker {

absl::StatusOr<SequenceSampler> SequenceSampler::Create(
    const TokenSource& source, int64_t sequence_length, uint64_t seed) {
  if (sequence_length < 1 || sequence_length >= source.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a sequence of ", sequence_length,
                     " tokens and the one after it do "
                     "not fit into ",
                     source.name(), ", whose range has ", source.size(),
                     "; use a sequence_length from 1 to ", source.size() - 1));
  }
  return SequenceSampler(source, sequence_length, seed);
}

int64_t SequenceSampler::Start(int64_t number) const {
  const RandomKey key = {seed_, RandomPurpose::kDataOrder};
  const int64_t places = source_->size() - sequence_length_;
  return static_cast<int64_t>(RandomBelow(key, static_cast<uint64_t>(number),
                                          static_cast<uint64_t>(places)));
}

absl::Status SequenceSampler::Read(int64_t number, const TokenSpan& span,
                                   absl::Span<int32_t> inputs,
                                   absl::Span<int32_t> targets) const {
  if (span.begin < 0 || span.begin > span.end || span.end > sequence_length_ ||
      static_cast<int64_t>(inputs.size()) != span.size()) {
    return absl::OutOfRangeError(absl::StrCat(
        "tokens [", span.begin, ", ", span.end, ") of a sequence of ",
        sequence_length_, " were asked for, with room for ", inputs.size()));
  }
  return source_->Read(Start(number) + span.begin, inputs, targets);
}

}  // namespace longspan::worker
