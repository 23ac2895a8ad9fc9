#include "worker/train/batch_reader.h"

#include <algorithm>

#include "common/base/status_macros.h"

namespace longspan::worker {

BatchReader::BatchReader(const SequenceShard& shard, int replica, int replicas)
    : batch_(shard.batch()),
      replica_(replica),
      replicas_(replicas),
      sequence_length_(shard.piece().tokens),
      parts_(shard.parts().begin(), shard.parts().end()),
      tokens_(shard.tokens()),
      ids_(shard.rows()),
      targets_(shard.rows()) {}

absl::Status BatchReader::ReadStep(const SequenceSampler& sampler,
                                   int64_t step) {
  const int64_t first = step * sequences() + replica_ * batch_;
  for (int64_t b = 0; b < batch_; ++b) {
    for (const ShardPart& part : parts_) {
      RETURN_IF_ERROR(sampler.Read(first + b,
                                   {part.range.begin, part.range.end},
                                   Row(ids_, b, part), Row(targets_, b, part)));
    }
  }
  return absl::OkStatus();
}

absl::Status BatchReader::ReadWindows(const TokenSource& text, int64_t first) {
  for (int64_t b = 0; b < batch_; ++b) {
    const int64_t begin = first + (replica_ * batch_ + b) * sequence_length_;
    for (const ShardPart& part : parts_) {
      const absl::Span<int32_t> ids = Row(ids_, b, part);
      const absl::Span<int32_t> targets = Row(targets_, b, part);
      if (begin + sequence_length_ > text.size()) {
        std::fill(ids.begin(), ids.end(), 0);
        std::fill(targets.begin(), targets.end(), TokenSource::kNoTarget);
        continue;
      }
      RETURN_IF_ERROR(text.Read(begin + part.range.begin, ids, targets));
    }
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
