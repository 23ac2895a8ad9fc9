// What one rank computes with: passed down through model and layers, so that
// they own neither devices nor groups. Does not own its members; all must
// outlive every call. One thread per rank uses it.
#pragma once

#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/state_exchange_plan.h"
#include "kernels/api/backend.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"
#include "kernels/cost/backend_kind.h"
#include "worker/collective/process_group.h"
#include "worker/tensor/arena.h"
#include "worker/tensor/transfer.h"

namespace longspan::worker {

struct RankContext {
  kernels::Backend* backend = nullptr;
  kernels::Stream* stream = nullptr;
  Arena* arena = nullptr;
  // The ranks that share sequences; null: a single rank.
  ProcessGroup* group = nullptr;
  // All ranks of the job where there are data-parallel replicas (mesh.h); null:
  // those of `group`.
  ProcessGroup* replicas = nullptr;
  // Of activations: f32, f64 or bf16. Parameters, states, gates and sums have
  // accumulator().
  kernels::DType dtype = kernels::DType::kF32;
  // As the stream was created; decide workspace sizes.
  kernels::BackendKind backend_kind = kernels::BackendKind::kCpu;
  int threads = 1;
  SequenceParallel method = SequenceParallel::kLasp2;
  SoftmaxParallel softmax_method = SoftmaxParallel::kGather;
  GatherSettings state_gather;  // of lasp2

  int rank() const { return group == nullptr ? 0 : group->rank(); }
  int ranks() const { return group == nullptr ? 1 : group->size(); }
  // Of all ranks of the job.
  ProcessGroup* gang() const { return replicas == nullptr ? group : replicas; }
  int gang_rank() const { return gang() == nullptr ? 0 : gang()->rank(); }
  int gang_ranks() const { return gang() == nullptr ? 1 : gang()->size(); }
  // This rank's replica, and how many there are.
  int replica() const { return gang_rank() / ranks(); }
  int replica_count() const { return gang_ranks() / ranks(); }
  // This rank as if it were the job's only one.
  RankContext Alone() const {
    RankContext alone = *this;
    alone.group = nullptr;
    alone.replicas = nullptr;
    return alone;
  }
  // Of both groups together.
  TransferCounters counters() const;
  kernels::DType accumulator() const { return kernels::AccumulatorOf(dtype); }
  int64_t element_bytes() const { return kernels::BytesPerElement(dtype); }
  Transfer transfer() const { return Transfer(&backend->memory(), stream); }
};

}  // namespace longspan::worker
