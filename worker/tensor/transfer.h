// Moves numbers between host memory and the memory of a backend: the only way
// in which host code reads or writes a tensor.
//
// Copies are ordered with the ops of the stream. Not thread-safe. Owns nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/api/device_memory.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::worker {

class Transfer {
 public:
  // Tensors that lie in host memory.
  Transfer() = default;
  Transfer(kernels::DeviceMemory* memory, kernels::Stream* stream)
      : memory_(memory), stream_(stream) {}

  // Whether host code may use the pointers of tensors.
  bool direct() const {
    return memory_ == nullptr || memory_->host_accessible();
  }

  // Fills `to`, contiguous, from its bytes on the host, which may be reused
  // when the call returns.
  absl::Status Upload(const void* host, kernels::TensorView to) const;
  // The bytes of `from`, contiguous, are at `host` once the stream has been
  // synchronised.
  absl::Status StartDownload(kernels::ConstTensorView from, void* host) const;
  // Likewise; waits for the stream.
  absl::Status Download(kernels::ConstTensorView from, void* host) const;

  // Fills f32 or f64 `to` with numbers, rounded to its type.
  absl::Status UploadNumbers(absl::Span<const double> numbers,
                             kernels::TensorView to) const;
  // f32, f64 or bf16 as doubles, row-major.
  absl::Status DownloadNumbers(kernels::ConstTensorView from,
                               absl::Span<double> numbers) const;

  // Calls `use` with all bytes of `from`, contiguous, in order: at once where
  // they lie on the host, else piece by piece.
  using Use = std::function<absl::Status(std::string_view bytes)>;
  absl::Status ForEachPiece(kernels::ConstTensorView from,
                            const Use& use) const;

 private:
  kernels::DeviceMemory* memory_ = nullptr;
  kernels::Stream* stream_ = nullptr;
};

}  // namespace longspan::worker
