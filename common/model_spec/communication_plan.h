// What a step moves between ranks: exact payload bytes per layer, direction
// and purpose, as the transport counts them.
//
//   linear layer     memory states, as the method has it
//                    (state_exchange_plan.h); with LASP-2 forward also carries
//                    the decay of the range when it depends on the tokens: one
//                    number per head (simple_gla), per row of the state (gla,
//                    lawcat) or a matrix (deltanet)
//                    with ulysses rows of heads travel instead
//                    (head_exchange_plan.h), and states only where the leaving
//                    one is wanted on every rank; with ring rows that make
//                    states (row_exchange_plan.h), and states likewise; with
//                    ring_left rows alone (left_ring_plan.h)
//   softmax layer    keys and values, and backward their gradients, as the
//                    method has it (kv_exchange_plan.h); with ulysses rows of
//                    heads
//   megatron_sp      of either kind: the layer's input, gathered, and its
//                    output, reduce-scattered (head_slices.h), and nothing else
//   convolution      K - 1 border tokens to the right, their gradients back
//   gradients        one AllReduce of the flat buffer, with the loss in its
//                    tail
//
// Bytes of linear layers do not depend on the sequence length, but with
// ulysses and ring.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/state_exchange_plan.h"
#include "common/model_spec/token_layout.h"
#include "common/model_spec/token_range.h"

namespace longspan {

enum class TransferKind {
  kStateExchange,
  kHeadExchange,
  kRowExchange,
  kKeyValueExchange,
  kConvolutionHalo,
  kGradientSync
};
enum class TransferDirection { kForward, kBackward, kNone };

struct PlannedTransfer {
  TransferKind kind = TransferKind::kStateExchange;
  TransferDirection direction = TransferDirection::kForward;
  int layer = -1;  // -1: not of a layer
  int64_t launches = 0;
  int64_t bytes_sent = 0;
  int64_t bytes_received = 0;
};

struct CommunicationShape {
  int64_t batch = 1;
  std::vector<TokenRange> ranges;  // the parts of the sequence
  int64_t element_bytes = 4;
  bool backward = true;        // a training step; false: forward only
  bool carries_state = false;  // the leaving state is wanted on every rank
  SequenceParallel method = SequenceParallel::kLasp2;
  SoftmaxParallel softmax_method = SoftmaxParallel::kGather;
  GatherSettings state_gather;
  // Data-parallel copies of these ranks, which sum their gradients together,
  // and which of them this is: rank r of copy c is rank c * ranks + r of all.
  int replicas = 1;
  int replica = 0;
  // Who holds which part; kZigzag with lasp2, gather and a training step.
  TokenLayout layout = TokenLayout::kContiguous;
};

// The transfers of one step on `rank` of the replica; empty for a job of a
// single rank.
std::vector<PlannedTransfer> PlanCommunication(const ModelSpec& spec,
                                               const CommunicationShape& shape,
                                               int rank);

// What the ranks exchange for a linear layer of so many sequences.
StateExchangeShape StateShapeOf(const LinearAttentionSpec& linear,
                                int64_t batch,
                                const GatherSettings& gather = {});

// Elements of the gradient buffer that follow the gradients and are summed
// with them: [0] the loss, the rest padding.
inline constexpr int64_t kGradientTail = 16;

// Border tokens of a short convolution: tokens [begin, end) of the sequence,
// which lie in part `from` and which part `to` needs; parts as in
// token_layout.h, whose owners may be the same rank.
struct HaloMove {
  int from = 0;
  int to = 0;
  TokenRange tokens;
};

// Every move that gives each part that is not empty the kernel_size - 1 tokens
// before it; short parts make a halo come from several. Ordered by distance
// to - from, then by `from`.
std::vector<HaloMove> PlanHalos(absl::Span<const TokenRange> ranges,
                                int64_t kernel_size);

// The most tokens that go from and to one part in PlanHalos, whatever the
// ranges: its own halo, and the halos of the next kernel_size - 1 parts when
// those hold one token each. None for a single rank.
int64_t HaloStagingTokens(int64_t kernel_size, int ranks);

// Bytes that one rank sends (and receives) in an AllReduce; as
// worker/collective/all_reduce_plan.h, tested against it.
int64_t AllReduceBytes(int64_t count, int64_t element_bytes, int rank,
                       int ranks);

}  // namespace longspan
