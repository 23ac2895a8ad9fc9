#include "common/model_spec/softmax_layer_memory.h"

#include <algorithm>

#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/model_state_spec.h"
#include "common/model_spec/precision.h"
#include "kernels/cost/workspace.h"

namespace longspan {

SoftmaxLayerMemory::SoftmaxLayerMemory(const ModelSpec& spec,
                                       const RunShape& shape)
    : spec_(spec),
      shape_(shape),
      ranks_(RankCount(shape.layout, shape.ranges.size())),
      parts_(PartsOf(shape.layout, shape.ranges, shape.rank)),
      rows_(shape.batch * TokensOf(shape.layout, shape.ranges, shape.rank)),
      piece_tokens_(shape.ranges.back().end),
      ring_steps_(
          KvRoute(shape.ranges, spec.softmax.window, shape.rank).steps()) {}

void SoftmaxLayerMemory::AddTape(BufferList& list) const {
  list.Add("q", rows_ * query_width());
  if (!shape_.carries_state) {
    list.Add("key_value",
             (gathers_keys() ? all_rows() : rows_) * key_value_width());
  }
  list.Add("o", rows_ * query_width());
  if (!heads_travel()) {
    list.AddWide("lse", rows_ * softmax().heads);
    return;
  }
  const SoftmaxAttentionSpec own = OwnHeads();
  list.Add("head_q", all_rows() * own.heads * own.head_dim)
      .Add("head_key_value", all_rows() * 2 * own.key_heads * own.head_dim)
      .Add("head_o", all_rows() * own.heads * own.head_dim)
      .AddWide("head_lse", all_rows() * own.heads);
}

std::vector<Buffer> SoftmaxLayerMemory::Gradients() const {
  return List()
      .Add("d_o", rows_ * query_width())
      .Add("d_q", rows_ * query_width())
      .Add("d_own", rows_ * key_value_width())
      .Take();
}

std::vector<Buffer> SoftmaxLayerMemory::Mix() const {
  if (heads_travel()) return HeadsMix(/*backward=*/false);
  return gathers_keys() ? GatherMix() : RingMix();
}

std::vector<Buffer> SoftmaxLayerMemory::MixBackward() const {
  if (heads_travel()) return HeadsMix(/*backward=*/true);
  return gathers_keys() ? GatherMixBackward() : RingMixBackward();
}

int64_t SoftmaxLayerMemory::Workspace(bool backward, int64_t keys,
                                      int64_t key_heads) const {
  const int64_t heads = key_heads * softmax().heads / softmax().key_heads;
  int64_t bytes = 0;  // of the queries of one part at a time
  for (int part : parts_) {
    bytes = std::max(bytes,
                     kernels::SoftmaxAttentionWorkspaceBytes(
                         backward,
                         {shape_.batch, shape_.ranges[part].size(), keys, heads,
                          key_heads, softmax().head_dim, shape_.element_bytes},
                         shape_.backend, shape_.threads));
  }
  return bytes;
}

// ---- gather ----------------------------------------------------------------

int64_t SoftmaxLayerMemory::GatheredKeys() const {
  return shape_.carries_state ? KeyValueRows(spec_, CapacityOf(shape_))
                              : piece_tokens_;
}

int64_t SoftmaxLayerMemory::SliceCount() const {
  return KeySliceCount(shape_.softmax_method, ranks_, softmax().key_heads,
                       shape_.carries_state);
}

int64_t SoftmaxLayerMemory::SliceHeads() const {
  return CutKeyHeads(softmax().key_heads, SliceCount())[0].heads();
}

// Batches are staged: the slice that comes, and the one at hand.
std::vector<Buffer> SoftmaxLayerMemory::GatherMix() const {
  BufferList list = List();
  for (int64_t i = 0; i < std::min<int64_t>(SliceCount(), 2); ++i) {
    if (ranks_ > 1 && shape_.batch > 1) {
      list.Add("kv_staging", all_rows() * SliceWidth());
    }
  }
  return list
      .AddBytes("workspace",
                Workspace(/*backward=*/false, GatheredKeys(), SliceHeads()))
      .Take();
}

std::vector<Buffer> SoftmaxLayerMemory::GatherMixBackward() const {
  BufferList list = List();
  list.AddBytes("workspace",
                Workspace(/*backward=*/true, GatheredKeys(), SliceHeads()));
  if (ranks_ > 1) AddSliceGradients(list);
  return list.Take();
}

// Of the slice at hand and of the one whose sums travel, which lies in
// `kv_staging` where it must be widened or put in order.
void SoftmaxLayerMemory::AddSliceGradients(BufferList& list) const {
  const bool narrow =
      shape_.element_bytes != AccumulatorBytes(shape_.element_bytes);
  const bool two_parts = parts_.size() > 1;
  const bool staged = narrow || shape_.batch > 1;
  const int64_t slice = all_rows() * SliceWidth();
  list.Add("d_slice", slice);
  if (two_parts) {
    list.Add("d_first_rows",
             shape_.batch * shape_.ranges[parts_[0]].end * SliceWidth());
  }
  if (staged) {
    list.AddWide("kv_staging", slice);
  } else if (SliceCount() > 1) {
    list.Add("d_slice", slice);
  }
  if (narrow || SliceCount() > 1 || (two_parts && shape_.batch > 1)) {
    list.AddWide("d_own_sum", rows_ * SliceWidth());
  }
}

// ---- ring ------------------------------------------------------------------

int64_t SoftmaxLayerMemory::ShardCount() const {
  return shape_.batch * LongestRange(shape_.ranges) * key_value_width();
}

void SoftmaxLayerMemory::AddTravelling(BufferList& list) const {
  for (int i = 0; i < std::min(ring_steps_, 2); ++i) {
    list.Add("shard", ShardCount());
  }
}

// Two shards that travel, and what the queries see in one.
std::vector<Buffer> SoftmaxLayerMemory::RingMix() const {
  BufferList list = List();
  AddTravelling(list);
  if (ring_steps_ > 0) {
    list.Add("part_o", rows_ * query_width())
        .AddWide("part_lse", rows_ * softmax().heads);
  }
  return list
      .AddBytes("workspace",
                Workspace(/*backward=*/false, LongestRange(shape_.ranges),
                          softmax().key_heads))
      .Take();
}

// The sums of the gradients travel behind their shards.
std::vector<Buffer> SoftmaxLayerMemory::RingMixBackward() const {
  BufferList list = List();
  AddTravelling(list);
  if (ring_steps_ > 0) {
    list.AddWide("d_shard_sum", ShardCount())
        .AddWide("d_shard_sum", ShardCount())
        .Add("d_shard", ShardCount())
        .Add("part_d_q", rows_ * query_width());
  }
  return list
      .AddBytes("workspace",
                Workspace(/*backward=*/true, LongestRange(shape_.ranges),
                          softmax().key_heads))
      .Take();
}

// ---- ulysses ---------------------------------------------------------------

SoftmaxAttentionSpec SoftmaxLayerMemory::OwnHeads() const {
  return OwnHeadsOf(softmax(), shape_.rank, ranks_);
}

int64_t SoftmaxLayerMemory::ParcelBytes() const {
  const HeadExchangeShape heads = {shape_.batch, shape_.ranges, softmax().heads,
                                   softmax().key_heads, shape_.element_bytes};
  return HeadScratchBytes(heads, HeadTrafficOf(softmax()), shape_.rank);
}

std::vector<Buffer> SoftmaxLayerMemory::HeadsMix(bool backward) const {
  const SoftmaxAttentionSpec own = OwnHeads();
  BufferList list = List();
  list.AddBytes("parcels", ParcelBytes());
  if (backward) {
    const int64_t queries = all_rows() * own.heads * own.head_dim;
    list.Add("head_d_o", queries)
        .Add("head_d_q", queries)
        .Add("head_d_key_value", all_rows() * 2 * own.key_heads * own.head_dim);
  }
  return list
      .AddBytes("workspace",
                kernels::SoftmaxAttentionWorkspaceBytes(
                    backward,
                    {shape_.batch, piece_tokens_, piece_tokens_, own.heads,
                     own.key_heads, own.head_dim, shape_.element_bytes},
                    shape_.backend, shape_.threads))
      .Take();
}

}  // namespace longspan
