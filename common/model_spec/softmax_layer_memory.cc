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
  BufferList list = List();
  list.Add("d_o", rows_ * query_width()).Add("d_q", rows_ * query_width());
  if (gathers_keys()) list.Add("d_key_value", all_rows() * key_value_width());
  if (ranks_ > 1) list.Add("d_own", rows_ * key_value_width());
  return list.Take();
}

std::vector<Buffer> SoftmaxLayerMemory::Mix() const {
  if (heads_travel()) return HeadsMix(/*backward=*/false);
  return gathers_keys() ? GatherMix() : RingMix();
}

std::vector<Buffer> SoftmaxLayerMemory::MixBackward() const {
  if (heads_travel()) return HeadsMix(/*backward=*/true);
  return gathers_keys() ? GatherMixBackward() : RingMixBackward();
}

int64_t SoftmaxLayerMemory::Workspace(bool backward, int64_t keys) const {
  int64_t bytes = 0;  // of the queries of one part at a time
  for (int part : parts_) {
    bytes = std::max(bytes, kernels::SoftmaxAttentionWorkspaceBytes(
                                backward,
                                {shape_.batch, shape_.ranges[part].size(), keys,
                                 softmax().heads, softmax().key_heads,
                                 softmax().head_dim, shape_.element_bytes},
                                shape_.backend, shape_.threads));
  }
  return bytes;
}

// ---- gather ----------------------------------------------------------------

int64_t SoftmaxLayerMemory::StagingCount() const {
  if (shape_.batch == 1 || ranks_ == 1) return 0;
  return all_rows() * key_value_width();
}

int64_t SoftmaxLayerMemory::GatheredKeys() const {
  return shape_.carries_state ? KeyValueRows(spec_, CapacityOf(shape_))
                              : piece_tokens_;
}

std::vector<Buffer> SoftmaxLayerMemory::GatherMix() const {
  return List()
      .Add("kv_staging", StagingCount())
      .AddBytes("workspace", Workspace(/*backward=*/false, GatheredKeys()))
      .Take();
}

std::vector<Buffer> SoftmaxLayerMemory::GatherMixBackward() const {
  BufferList list = List();
  list.AddBytes("workspace", Workspace(/*backward=*/true, GatheredKeys()));
  const bool two_parts = parts_.size() > 1;
  if (two_parts) {
    list.Add("d_first_rows",
             shape_.batch * shape_.ranges[parts_[0]].end * key_value_width());
  }
  if (shape_.element_bytes == AccumulatorBytes(shape_.element_bytes)) {
    list.Add("kv_staging", StagingCount());
    if (two_parts && shape_.batch > 1) {
      list.AddWide("d_own_sum", rows_ * key_value_width());
    }
  } else if (ranks_ > 1) {
    // Gradients are summed over ranks in the wide type.
    list.AddWide("kv_staging", all_rows() * key_value_width());
    list.AddWide("d_own_sum", rows_ * key_value_width());
  }
  return list.Take();
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
                Workspace(/*backward=*/false, LongestRange(shape_.ranges)))
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
                Workspace(/*backward=*/true, LongestRange(shape_.ranges)))
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
