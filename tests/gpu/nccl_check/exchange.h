// One side of the comparison: a rank of a process group, with operands in the
// memory of its backend. The same exchange is run by both sides, and the bytes
// that it leaves are compared.
//
// Not thread-safe. What one exchange has allocated goes at Restart().
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/backend.h"
#include "worker/collective/process_group.h"
#include "worker/tensor/tensor.h"

namespace longspan {

class Exchange {
 public:
  Exchange(kernels::Backend* backend, kernels::Stream* stream,
           worker::ProcessGroup* group)
      : backend_(backend), stream_(stream), group_(group) {}

  worker::ProcessGroup& group() { return *group_; }
  int rank() const { return group_->rank(); }
  int ranks() const { return group_->size(); }
  kernels::Stream* stream() { return stream_; }

  // Before each exchange: the same seed makes the same numbers on both sides,
  // other ones on every rank.
  void Restart(uint64_t seed);

  // f32, f64 or i64, contiguous, in the backend's memory; uploaded in the order
  // of the stream. Floats are of such sizes that sums depend on their order.
  absl::StatusOr<kernels::TensorView> Random(kernels::DType dtype,
                                             int64_t count);
  // Bytes 0xFF, which no exchange leaves.
  absl::StatusOr<kernels::TensorView> Poisoned(kernels::DType dtype,
                                               int64_t count);
  std::vector<char> RandomOnHost(kernels::DType dtype, int64_t count);

  // Waits for `work`, then for the stream.
  absl::Status Finish(std::unique_ptr<worker::Work> work);

  // Adds bytes to what is compared.
  absl::Status Keep(kernels::ConstTensorView result);
  void KeepOnHost(const void* data, int64_t bytes);
  const std::string& kept() const { return kept_; }

 private:
  absl::StatusOr<kernels::TensorView> Upload(const std::vector<char>& host,
                                             kernels::DType dtype,
                                             int64_t count);

  kernels::Backend* const backend_;
  kernels::Stream* const stream_;
  worker::ProcessGroup* const group_;
  uint64_t random_ = 0;
  std::deque<worker::Tensor> tensors_;
  std::string kept_;
};

}  // namespace longspan
