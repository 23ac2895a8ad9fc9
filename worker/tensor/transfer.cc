#include "worker/tensor/transfer.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "kernels/api/bfloat16.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;

// Of a piece on its way to a file: bounds what a checkpoint holds twice.
constexpr int64_t kPieceBytes = 16 << 20;

double NumberAt(const char* bytes, DType dtype, int64_t index) {
  switch (dtype) {
    case DType::kF64: {
      return reinterpret_cast<const double*>(bytes)[index];
    }
    case DType::kBF16:
      return ToFloat(reinterpret_cast<const kernels::BFloat16*>(bytes)[index]);
    default:
      return reinterpret_cast<const float*>(bytes)[index];
  }
}

}  // namespace

absl::Status Transfer::Upload(const void* host, TensorView to) const {
  LONGSPAN_CHECK(to.is_contiguous()) << to.DebugString();
  if (memory_ == nullptr) {
    std::memcpy(to.data(), host, to.byte_count());
    return absl::OkStatus();
  }
  return memory_->CopyToDevice(host, to.data(), to.byte_count(), *stream_);
}

absl::Status Transfer::StartDownload(ConstTensorView from, void* host) const {
  LONGSPAN_CHECK(from.is_contiguous()) << from.DebugString();
  if (memory_ == nullptr) {
    std::memcpy(host, from.data(), from.byte_count());
    return absl::OkStatus();
  }
  return memory_->CopyToHost(from.data(), host, from.byte_count(), *stream_);
}

absl::Status Transfer::Download(ConstTensorView from, void* host) const {
  RETURN_IF_ERROR(StartDownload(from, host));
  return stream_ == nullptr ? absl::OkStatus() : stream_->Synchronize();
}

absl::Status Transfer::UploadNumbers(absl::Span<const double> numbers,
                                     TensorView to) const {
  LONGSPAN_CHECK_EQ(to.element_count(), static_cast<int64_t>(numbers.size()));
  if (to.dtype() == DType::kF64) return Upload(numbers.data(), to);
  LONGSPAN_CHECK(to.dtype() == DType::kF32) << to.DebugString();
  const std::vector<float> narrow(numbers.begin(), numbers.end());
  return Upload(narrow.data(), to);
}

absl::Status Transfer::DownloadNumbers(ConstTensorView from,
                                       absl::Span<double> numbers) const {
  LONGSPAN_CHECK_EQ(from.element_count(), static_cast<int64_t>(numbers.size()));
  int64_t done = 0;
  RETURN_IF_ERROR(ForEachPiece(from, [&](std::string_view bytes) {
    const int64_t count = static_cast<int64_t>(bytes.size()) /
                          kernels::BytesPerElement(from.dtype());
    for (int64_t i = 0; i < count; ++i) {
      numbers[done + i] = NumberAt(bytes.data(), from.dtype(), i);
    }
    done += count;
    return absl::OkStatus();
  }));
  return absl::OkStatus();
}

absl::Status Transfer::ForEachPiece(ConstTensorView from,
                                    const Use& use) const {
  LONGSPAN_CHECK(from.is_contiguous()) << from.DebugString();
  const int64_t total = from.byte_count();
  const auto* data = static_cast<const char*>(from.data());
  if (direct()) {
    if (stream_ != nullptr) RETURN_IF_ERROR(stream_->Synchronize());
    return use({data, static_cast<size_t>(total)});
  }
  std::string piece(std::min(total, kPieceBytes), '\0');
  for (int64_t done = 0; done < total; done += kPieceBytes) {
    const int64_t bytes = std::min(kPieceBytes, total - done);
    RETURN_IF_ERROR(
        memory_->CopyToHost(data + done, piece.data(), bytes, *stream_));
    RETURN_IF_ERROR(stream_->Synchronize());
    RETURN_IF_ERROR(use({piece.data(), static_cast<size_t>(bytes)}));
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
