#include "worker/collective/host_rows.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::TensorView;

// Most control values fit, so that blocks seldom grow.
constexpr int64_t kSmallestBlock = 4096;

}  // namespace

absl::Status HostRows::Upload(const std::vector<int64_t>& row_bytes, int own,
                              const void* send) {
  at_rest_ = false;
  const int64_t total =
      std::accumulate(row_bytes.begin(), row_bytes.end(), int64_t{0});
  host_.resize(total);
  ASSIGN_OR_RETURN(char* row, block_.Take(std::max(total, kSmallestBlock)));
  rows_.clear();
  for (const int64_t bytes : row_bytes) {
    rows_.emplace_back(row, kernels::DType::kU8,
                       std::initializer_list<int64_t>{bytes});
    row += bytes;
  }
  if (row_bytes[own] == 0) return absl::OkStatus();
  RETURN_IF_ERROR(
      memory_->CopyToDevice(send, rows_[own].data(), row_bytes[own], *stream_));
  return stream_->Synchronize();
}

absl::Status HostRows::Download(const Use& use) {
  if (!host_.empty()) {
    RETURN_IF_ERROR(memory_->CopyToHost(rows_[0].data(), host_.data(),
                                        static_cast<int64_t>(host_.size()),
                                        *stream_));
    RETURN_IF_ERROR(stream_->Synchronize());
  }
  at_rest_ = true;
  use(host_.data());
  return absl::OkStatus();
}

std::shared_ptr<HostRows> HostRowsPool::Lend() {
  std::unique_ptr<HostRows> rows;
  if (idle_.empty()) {
    rows = std::make_unique<HostRows>(memory_, stream_);
  } else {
    rows = std::move(idle_.back());
    idle_.pop_back();
  }
  return {rows.release(), [this](HostRows* returned) {
            (returned->at_rest() ? idle_ : stranded_).emplace_back(returned);
          }};
}

void HostRowsPool::Leak() {
  for (auto* list : {&idle_, &stranded_}) {
    for (std::unique_ptr<HostRows>& rows : *list) (void)rows.release();
  }
}

}  // namespace longspan::worker
