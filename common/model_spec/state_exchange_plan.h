// What the exchange of one linear layer's memory states between ranks costs,
// by method: memory, messages and payload. Workers allocate by these functions
// and tests compare the transport's counters with them.
//
//     S = B H Dk Dv, a state; x = what its range's decay adds to it, 0 where
//     every rank knows the decays; W ranks
//
//     method        forward, sent by a rank     backward    calls    scratch
//     lasp2         (W - 1)(S + x)              (W - 1) S   1        W (S + x)
//       in bf16     (W - 1)(S/2 + x)            (W - 1) S/2 1   W (S/2 + x) + S
//     lasp1         S, last rank 0              S, first 0  1 or 2   2 S
//     lasp1_serial  as lasp1
//     all_scan      as lasp1                    as lasp1    K, K+1   2 S
//     scan          log2(W) (S + x')            the same    log2(W)  5 (S + x')
//
// lasp2 (arXiv 2502.07563) gathers all summaries. The others pass the state
// itself from rank to rank, so that W does not multiply the bytes: lasp1
// (arXiv 2404.02882) whole, all_scan (ZeCO, arXiv 2507.01004) in K blocks of
// heads, so that a rank sends its first block on before its last one came. A
// middle rank of the chain takes its next block in the call that sends the one
// before. scan (Hillis and Steele) sends what more and more ranks together do
// to a state, with the decay x' of those ranks; the ranks at an end send or
// receive in fewer rounds. Ranks summarise their ranges and compute what needs
// no state before they wait; lasp1_serial waits first, as LASP-1 was released.
//
// lasp2's gather may carry states as bf16, rounded to nearest even, and in
// several calls that share each summary's numbers (GatherSettings). Decays, and
// above all the delta rule's matrices, of which products are made, stay in f32,
// and so does every sum.
#pragma once

#include <cstdint>
#include <string_view>

namespace longspan {

// `sequence_parallel` of a job.
enum class SequenceParallel {
  kLasp2,
  kLasp1,
  kLasp1Serial,
  kAllScan,
  kScan,
  kUlysses,     // heads travel, not states (head_exchange_plan.h)
  kRing,        // rows travel that make the states (row_exchange_plan.h)
  kMegatronSp,  // heads are cut, and the layer's input travels (head_slices.h)
  kRingLeft     // rows travel, no state is made of them (left_ring_plan.h)
};

// Whether ranks share out the heads and not the tokens of a recurrence: nothing
// else in this file is about such a method, nor about kMegatronSp or kRingLeft.
inline bool HeadsTravel(SequenceParallel method) {
  return method == SequenceParallel::kUlysses;
}
inline bool SharesHeads(SequenceParallel method) {
  return HeadsTravel(method) || method == SequenceParallel::kMegatronSp;
}

// Whether ranks make each other's summaries from rows: of this file such a
// method has the scratch alone, W S.
inline bool RowsTravel(SequenceParallel method) {
  return method == SequenceParallel::kRing;
}

std::string_view SequenceParallelName(SequenceParallel method);  // "lasp2"

// How lasp2's gather carries the states. Other methods have the default only.
struct GatherSettings {
  bool bf16 = false;  // states on their way, where sums are f32
  int splits = 1;     // calls, in flight together

  friend bool operator==(const GatherSettings&,
                         const GatherSettings&) = default;
};

// Elements of one layer's summary.
struct StateExchangeShape {
  int64_t heads = 1;  // B * H, over the batch
  int64_t state = 0;  // S
  int64_t decay = 0;  // of a range, whoever knows it
  bool decay_travels = false;
  GatherSettings gather;

  int64_t travelling() const { return decay_travels ? decay : 0; }
  // A summary that lasp2 gathers, in numbers of the type of sums, each of which
  // is two of bf16.
  int64_t gathered(bool forward) const {
    return (gather.bf16 ? (state + 1) / 2 : state) +
           (forward ? travelling() : 0);
  }
};

// Whether a rank needs every rank's decay, or only its own.
inline bool KeepsAllDecays(SequenceParallel method) {
  return method == SequenceParallel::kLasp2 || RowsTravel(method);
}

// Blocks of heads that a chain sends one by one.
inline constexpr int64_t kAllScanBlocks = 8;
int64_t StateBlocks(SequenceParallel method, int64_t heads);

// Elements of scratch of a pass, of the type of sums. Decays travel forward
// only. `ranks`: with the layout zigzag, the parts that are not empty.
int64_t StateExchangeScratch(SequenceParallel method,
                             const StateExchangeShape& shape, int ranks,
                             bool forward);

// Of one rank and pass.
struct StateMoves {
  int64_t calls = 0;
  int64_t sent = 0;      // elements
  int64_t received = 0;  // elements
};

// `leaves`: the state that leaves the last rank is wanted on every rank
// (forward only).
StateMoves PlanStateMoves(SequenceParallel method,
                          const StateExchangeShape& shape, int rank, int ranks,
                          bool forward, bool leaves);

// lasp2 under the layout zigzag (token_layout.h): every rank gathers the
// summaries of the first parts, then those of the second ones, in a gather
// each. `own` of all `parts` that are not empty are this rank's.
StateMoves PlanPartMoves(const StateExchangeShape& shape, int own, int parts,
                         int ranks, bool forward);

}  // namespace longspan
