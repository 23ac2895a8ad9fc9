#include "worker/train/batch_reader.h"

#include <algorithm>

#include "common/base/status_macros.h"

namespace longspan::worker {

BatchReader::BatchReader(const SequenceShard& shard, int replica, int replicas)
    : batch_(shard.batch()),
      replica_(replica),
      replicas_(replicas),
      sequence_length_(shard.piece().tokens),
      range_(shard.range()),
      ids_(shard.rows()),
      targets_(shard.rows()) {}

absl::Status BatchReader::ReadStep(const SequenceSampler& sampler,
                                   int64_t step) {
  const int64_t first = step * sequences() + replica_ * batch_;
  for (int64_t b = 0; b < batch_; ++b) {
    RETURN_IF_ERROR(sampler.Read(first + b, {range_.begin, range_.end},
                                 Row(ids_, b), Row(targets_, b)));
  }
  return absl::OkStatus();
}

absl::Status BatchReader::ReadWindows(const TokenSource& text, int64_t first) {
  for (int64_t b = 0; b < batch_; ++b) {
    const absl::Span<int32_t> ids = Row(ids_, b);
    const absl::Span<int32_t> targets = Row(targets_, b);
    const int64_t begin = first + (replica_ * batch_ + b) * sequence_length_;
    if (begin + sequence_length_ > text.size()) {
      std::fill(ids.begin(), ids.end(), 0);
      std::fill(targets.begin(), targets.end(), TokenSource::kNoTarget);
      continue;
    }
    RETURN_IF_ERROR(text.Read(begin + range_.begin, ids, targets));
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
