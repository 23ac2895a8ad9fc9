// The mean loss of a model on a held-out text, as training sees text: windows
// of the training sequence length, side by side, each from an empty state.
// (An evaluate job carries the state through the whole text instead.)
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "worker/data/token_source.h"
#include "worker/model/model.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"
#include "worker/train/batch_reader.h"

namespace longspan::worker {

// Tokens of one validation, unless a single sequence is longer.
inline constexpr int64_t kMaxValidationTokens = 1 << 17;

struct ValidationScore {
  double loss = 0.0;  // nats per token
  int64_t tokens = 0;
};

// Scores windows from the beginning of `text`, at most kMaxValidationTokens,
// in batches of the shape of `shard`. Every rank calls it and gets the same.
// kInvalidArgument when the text is shorter than one sequence.
absl::StatusOr<ValidationScore> Validate(Model& model,
                                         const RankContext& context,
                                         const TokenSource& text,
                                         const SequenceShard& shard,
                                         BatchReader& reader);

}  // namespace longspan::worker
