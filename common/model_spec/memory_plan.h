// Exact memory of one rank: every buffer the worker will allocate, by name.
//
// The worker allocates the same buffers in the same order from arenas of the
// predicted size and aborts when one does not fit, so the prediction cannot
// drift from the code (tests compare the two lists name by name). What is not
// here (code, thread stacks, library internals) does not grow with the model
// or the sequence.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/model_state_spec.h"
#include "common/model_spec/state_exchange_plan.h"
#include "common/model_spec/token_layout.h"
#include "common/model_spec/token_range.h"
#include "kernels/cost/backend_kind.h"

namespace longspan {

enum class RunMode {
  kTrain,     // forward, backward, optimiser
  kEvaluate,  // forward and loss
  kGenerate   // forward, logits of the last token
};

struct RunShape {
  RunMode mode = RunMode::kTrain;
  int64_t batch = 1;
  std::vector<TokenRange> ranges;  // the parts of the longest piece
  int rank = 0;
  int64_t element_bytes = 4;
  kernels::BackendKind backend = kernels::BackendKind::kCpu;
  int threads = 1;
  SequenceParallel method = SequenceParallel::kLasp2;
  SoftmaxParallel softmax_method = SoftmaxParallel::kGather;
  GatherSettings state_gather;
  // Whether a state is carried from piece to piece (evaluate and generate
  // over long texts), and the longest text it must look back upon.
  bool carries_state = false;
  int64_t context_tokens = 0;
  // Data-parallel copies, and which of them: as in communication_plan.h.
  int replicas = 1;
  int replica = 0;
  // Who holds which part: as in communication_plan.h.
  TokenLayout layout = TokenLayout::kContiguous;
};

// Every buffer is rounded up to this, as the arena does.
inline constexpr int64_t kBufferAlignment = 64;

struct Buffer {
  std::string name;  // "layer.0.attn.packed"
  int64_t bytes = 0;
};

// Buffers of one layer. The tape lives from forward to backward (in modes
// without backward: until the layer is done), `gradients` while the layer's
// backward runs. The others are scratch of one step of the layer, all buffers
// of a list at once, one list at a time.
struct LayerMemory {
  std::vector<Buffer> tape;
  std::vector<Buffer> mix;  // forward
  std::vector<Buffer> gradients;
  std::vector<Buffer> mlp_backward;     // of one block of rows
  std::vector<Buffer> output_backward;  // of one block of rows
  std::vector<Buffer> mix_backward;
  // Of a layer whose heads are cut (head_slices.h): steps of mix_backward, each
  // with its buffers on top of those, one step at a time.
  std::vector<std::vector<Buffer>> mix_backward_steps;
  std::vector<Buffer> project_backward;  // of one block of rows
};

struct MemoryPlan {
  // Live for the whole job.
  int64_t parameter_bytes = 0;
  int64_t gradient_bytes = 0;
  int64_t moment_bytes = 0;     // both moments
  int64_t state_bytes = 0;      // carried state
  int64_t transport_bytes = 0;  // inside the collectives
  int64_t input_bytes = 0;      // token ids, and targets where there are any
  // The step arena.
  std::vector<Buffer> step;  // inputs, residual stream, head; whole step
  std::vector<Buffer> head;  // scratch of the loss, or of the logits
  std::vector<LayerMemory> layers;
  int64_t arena_bytes = 0;  // its peak: what the worker reserves

  int64_t total_bytes() const {
    return parameter_bytes + gradient_bytes + moment_bytes + state_bytes +
           transport_bytes + input_bytes + arena_bytes;
  }
};

// What the carried state must hold.
StateCapacity CapacityOf(const RunShape& shape);

int64_t TotalBytes(const std::vector<Buffer>& buffers);

MemoryPlan PlanMemory(const ModelSpec& spec, const RunShape& shape);

}  // namespace longspan
