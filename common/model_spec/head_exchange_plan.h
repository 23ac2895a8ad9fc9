// Sequence parallelism by heads (DeepSpeed Ulysses, arXiv 2309.14509): which
// heads a rank takes, and what their exchange costs. Workers allocate and send
// by these functions, and tests compare the transport's counters with them.
//
// Every rank holds its tokens with all heads. Before the recurrence the rows
// of q, k, v and the gates go to the ranks that take their heads, after it the
// rows of o come back; backward is the mirror image:
//
//     forward    to the heads:  q k v, log gate, beta     back: o
//     backward   to the heads:  dO           back: dq dk dv, d gate, d beta
//
// each way with one AllToAll. Softmax layers send q, k, v and o, and their
// gradients, in the same way. A rank with n of N tokens that takes h of H heads
// sends n rows of H - h heads and gets N - n rows of h heads; on the way back
// it is the other way round. So bytes grow with the tokens and shrink with the
// ranks, where those of states (state_exchange_plan.h) do neither.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/state_exchange_plan.h"
#include "common/model_spec/token_range.h"

namespace longspan {

struct HeadRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  friend bool operator==(const HeadRange&, const HeadRange&) = default;
};

// The heads of one rank, and the heads of q and k that they read.
struct HeadCut {
  HeadRange heads;
  HeadRange key_heads;
};

// Cuts `heads` among `ranks` <= heads as evenly as can be; the first ranks take
// one more. With fewer key heads, each for `heads / key_heads` heads in a row,
// a rank takes whole key heads where there are enough, else a part of the heads
// of one, whose q and k then go to several ranks and whose gradients are summed
// where their tokens are, in rank order. Ranges tile the heads in rank order.
HeadCut CutHeads(int64_t heads, int64_t key_heads, int rank, int ranks);

// The layer of one rank's heads.
SoftmaxAttentionSpec OwnHeadsOf(const SoftmaxAttentionSpec& softmax, int rank,
                                int ranks);

// kInvalidArgument, with both numbers and the fix, when the model's linear
// layers go by heads (ulysses, megatron_sp) and there are more ranks than
// heads; of its softmax layers the same. With megatron_sp a norm over several
// heads keeps them on one rank, and one over all heads is refused.
absl::Status CheckHeadCut(const ModelSpec& spec, SequenceParallel method,
                          int ranks);
absl::Status CheckHeadCut(const ModelSpec& spec, SoftmaxParallel method,
                          int ranks);

// Numbers of one token in one direction: of activations per key head and per
// head, and of the type of sums per head. Key heads are those of q and k in a
// linear layer, of k and v in a softmax layer.
struct HeadRows {
  int64_t key_head = 0;
  int64_t head = 0;
  int64_t wide = 0;
};

// What travels for a layer.
struct HeadTraffic {
  HeadRows in;   // to the heads forward, back backward
  HeadRows out;  // the reverse
};
HeadTraffic HeadTrafficOf(const LinearLayerForm& form);
HeadTraffic HeadTrafficOf(const SoftmaxAttentionSpec& softmax);

// An exchange of such rows, without the heads' cut.
struct HeadExchangeShape {
  int64_t batch = 1;
  absl::Span<const TokenRange> ranges;  // of every rank
  int64_t heads = 1;
  int64_t key_heads = 1;
  int64_t element_bytes = 4;  // of activations
};

// Bytes of what one rank's tokens have of another's heads.
int64_t HeadParcelBytes(const HeadExchangeShape& shape, const HeadRows& rows,
                        int tokens_of, int heads_of);

// Payload of one rank on the way to the heads; back, the two are exchanged.
struct HeadMoves {
  int64_t sent = 0;      // bytes
  int64_t received = 0;  // bytes
};
HeadMoves PlanHeadMoves(const HeadExchangeShape& shape, const HeadRows& rows,
                        int rank);

// Bytes of scratch for either way: the parcels of this rank, each rounded up to
// kHeadParcelAlignment.
inline constexpr int64_t kHeadParcelAlignment = 64;
int64_t HeadStagingBytes(const HeadExchangeShape& shape, const HeadRows& rows,
                         int rank);

// Of both ways of a pass, whichever takes more.
int64_t HeadScratchBytes(const HeadExchangeShape& shape,
                         const HeadTraffic& traffic, int rank);

}  // namespace longspan
