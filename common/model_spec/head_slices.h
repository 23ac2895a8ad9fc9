// Megatron-LM's sequence parallelism (Korthikanti et al., arXiv 2205.05198):
// which part of a mixer's parameters a rank computes with.
//
// Activations are cut by tokens, a mixer's heads by ranks. Forward gathers the
// mixer's input of all tokens, every rank computes its heads over them, and a
// ReduceScatter sums the ranks' outputs where their tokens are; backward has
// the same two exchanged, and gathers the input again:
//
//     calls      sent by a rank with n of N tokens, numbers of d each
//     forward 2  B ((W - 1) n + (N - n))
//     backward 3 B (2 (W - 1) n + (N - n))
//
// A rank's part is a mixer of its own with fewer heads. What belongs to a head
// (rows of the input projections, columns of the output projection, gates and
// channels) is cut, and what heads share (the low rank behind a gate, the
// weights of a norm per head, a feature map) is whole on every rank: gradients
// of both are partial sums that the sum over ranks completes. Key heads that
// several ranks read are on each of them, as in head_exchange_plan.h.
//
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/state_exchange_plan.h"
#include "common/model_spec/token_range.h"

namespace longspan {

// Whether ranks share the heads of layers of a kind in this way.
bool HeadsAreCut(SequenceParallel linear, SoftmaxParallel softmax,
                 LayerKind kind, int64_t ranks);

// Of a parameter [rows, columns], or a vector of rows: what a rank has, one
// range of rows after the other.
struct ParameterSlice {
  std::string name;  // behind "model.layers.0.attn."
  std::vector<HeadRange> rows;
  HeadRange columns;  // [0, 0): all
};

HeadCut CutLayer(const ModelSpec& spec, LayerKind kind, int rank, int ranks);

// A model of one layer whose mixer is a rank's part. Its other parts are as
// small as they can be, and are not used.
ModelSpec OwnLayerSpec(const ModelSpec& spec, LayerKind kind,
                       const HeadCut& cut);

// Every parameter of the mixer, as OwnLayerSpec has it.
std::vector<ParameterSlice> SliceMixer(const ModelSpec& spec, LayerKind kind,
                                       const HeadCut& cut);

// One such exchange of one rank, in numbers per column of the rows.
struct GatherMoves {
  int64_t sent = 0;
  int64_t received = 0;
};
GatherMoves PlanInputGather(absl::Span<const TokenRange> ranges, int64_t batch,
                            int rank);
// The ReduceScatter is its mirror image.
GatherMoves PlanOutputScatter(absl::Span<const TokenRange> ranges,
                              int64_t batch, int rank);

}  // namespace longspan
