// What the mixer of a softmax layer allocates, by the method of the job: the
// part of memory_plan.h that worker/model/softmax_attention_layer and
// worker/parallel/softmax_exchange agree with.
#pragma once

#include <cstdint>
#include <vector>

#include "common/model_spec/buffer_list.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/memory_plan.h"
#include "common/model_spec/model_spec.h"

namespace longspan {

class SoftmaxLayerMemory {
 public:
  // Both must outlive the object.
  SoftmaxLayerMemory(const ModelSpec& spec, const RunShape& shape);

  void AddTape(BufferList& list) const;
  std::vector<Buffer> Mix() const;
  std::vector<Buffer> Gradients() const;
  std::vector<Buffer> MixBackward() const;

 private:
  const SoftmaxAttentionSpec& softmax() const { return spec_.softmax; }
  BufferList List() const { return BufferList(shape_.element_bytes); }
  int64_t query_width() const { return softmax().heads * softmax().head_dim; }
  int64_t key_value_width() const {
    return 2 * softmax().key_heads * softmax().head_dim;
  }
  int64_t all_rows() const { return shape_.batch * piece_tokens_; }
  bool gathers_keys() const {
    return GathersKeys(shape_.softmax_method, ranks_);
  }
  bool heads_travel() const {
    return HeadsTravel(shape_.softmax_method, ranks_);
  }
  // Of a call on so many heads of keys.
  int64_t Workspace(bool backward, int64_t keys, int64_t key_heads) const;

  // All keys on every rank, in slices of heads.
  std::vector<Buffer> GatherMix() const;
  std::vector<Buffer> GatherMixBackward() const;
  void AddSliceGradients(BufferList& list) const;
  int64_t GatheredKeys() const;
  int64_t SliceCount() const;
  int64_t SliceHeads() const;  // of the widest
  int64_t SliceWidth() const { return 2 * SliceHeads() * softmax().head_dim; }

  // Keys that travel round the ring.
  std::vector<Buffer> RingMix() const;
  std::vector<Buffer> RingMixBackward() const;
  void AddTravelling(BufferList& list) const;
  int64_t ShardCount() const;  // of a travelling shard

  // Heads that travel: this rank's over all tokens.
  std::vector<Buffer> HeadsMix(bool backward) const;
  SoftmaxAttentionSpec OwnHeads() const;
  int64_t ParcelBytes() const;

  const ModelSpec& spec_;
  const RunShape& shape_;
  const int ranks_;
  const std::vector<int> parts_;  // of this rank, one or two
  const int64_t rows_;            // of this rank
  const int64_t piece_tokens_;    // of all ranks
  const int ring_steps_;          // of a shard of keys and values
};

}  // namespace longspan
