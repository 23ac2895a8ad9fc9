// One token after the other from the state of a text, on one rank.
//
// Not thread-safe; allocates its buffers at creation.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/model/model.h"
#include "worker/parallel/rank_context.h"
#include "worker/tensor/upload_buffer.h"

namespace longspan::worker {

class Decoder {
 public:
  // `context` without a group. `model` and `state` must outlive the decoder.
  Decoder(Model& model, const RankContext& context, ModelState& state);

  // Appends `token` to the text; returns the logits [V] of what follows,
  // valid until the next call.
  absl::StatusOr<absl::Span<const double>> Step(int32_t token);

  // Tokens in the text: the position of the next one.
  int64_t position() const { return state_.position(); }

 private:
  Model& model_;
  const RankContext context_;
  ModelState& state_;
  UploadBuffer ids_;
  std::vector<double> logits_;
};

}  // namespace longspan::worker
