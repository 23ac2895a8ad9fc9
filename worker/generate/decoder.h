// One token after the other from the state of a text, on one rank.
//
// Not thread-safe; allocates its buffers at creation.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "worker/generate/sampler.h"
#include "worker/model/model.h"
#include "worker/parallel/rank_context.h"
#include "worker/tensor/upload_buffer.h"

namespace longspan::worker {

class Decoder {
 public:
  // `context` without a group. `sampler` belongs to it. `model` and `state`
  // must outlive the decoder.
  Decoder(Model& model, const RankContext& context, ModelState& state,
          Sampler sampler)
      : model_(model),
        context_(context),
        state_(state),
        sampler_(std::move(sampler)) {}

  // Appends `token` to the text and draws the one that follows.
  absl::StatusOr<SampledToken> Step(int32_t token);

  // Tokens in the text: the position of the next one.
  int64_t position() const { return state_.position(); }

 private:
  Model& model_;
  const RankContext context_;
  ModelState& state_;
  Sampler sampler_;
  UploadBuffer ids_;
};

}  // namespace longspan::worker
