#include "tests/support/device_mirror/device_mirror.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "common/base/check.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kGuard = 256;  // bytes on either side; a NaN in every type
constexpr std::byte kGuardByte{0xFF};

// From the first element of a view to its last, gaps included.
int64_t SpanBytes(const ConstTensorView& view) {
  int64_t last = 0;
  for (int dim = 0; dim < view.rank(); ++dim) {
    if (view.size(dim) == 0) return 0;
    last += (view.size(dim) - 1) * view.stride(dim);
  }
  return (last + 1) * BytesPerElement(view.dtype());
}

template <typename Pointer>
BasicTensorView<Pointer> Contiguous(Pointer data, DType type,
                                    const std::vector<int64_t>& n) {
  switch (n.size()) {
    case 1:
      return {data, type, {n[0]}};
    case 2:
      return {data, type, {n[0], n[1]}};
    case 3:
      return {data, type, {n[0], n[1], n[2]}};
    case 4:
      return {data, type, {n[0], n[1], n[2], n[3]}};
    default:
      LONGSPAN_CHECK(n.size() == 5) << "rank " << n.size();
      return {data, type, {n[0], n[1], n[2], n[3], n[4]}};
  }
}

// How many of the last dimensions lie without gaps, at least one.
int GapFreeDims(const ConstTensorView& view) {
  int64_t stride = 1;
  int dims = 0;
  for (int dim = view.rank() - 1; dim >= 0; --dim, ++dims) {
    if (view.size(dim) != 1 && view.stride(dim) != stride) break;
    stride *= view.size(dim);
  }
  LONGSPAN_CHECK(dims > 0) << "the last dimension has stride "
                           << view.stride(view.rank() - 1);
  return dims;
}

// The view `like` over other memory. It is made of gap-free rows in a block
// whose other dimensions may be slices, as all views of the tests are.
template <typename Pointer>
BasicTensorView<Pointer> Over(Pointer data, const ConstTensorView& like) {
  const int outer = like.rank() - GapFreeDims(like);
  std::vector<int64_t> stored;
  for (int dim = 0; dim < outer; ++dim) {
    const int64_t above = dim == 0 ? 0 : like.stride(dim - 1);
    LONGSPAN_CHECK(above % like.stride(dim) == 0) << like.DebugString();
    stored.push_back(dim == 0 ? like.size(0) : above / like.stride(dim));
  }
  int64_t row = 1;
  for (int dim = outer; dim < like.rank(); ++dim) row *= like.size(dim);
  stored.push_back(outer == 0 ? row : like.stride(outer - 1));
  BasicTensorView<Pointer> view = Contiguous(data, like.dtype(), stored);
  for (int dim = 1; dim < outer; ++dim) {
    view = view.Slice(dim, 0, like.size(dim));
  }
  view = view.Slice(outer, 0, row);
  for (int dim = outer; dim + 1 < like.rank(); ++dim) {
    view = view.SplitLast(like.size(dim));
  }
  return view;
}

int64_t Misalignment(const void* host) {
  return static_cast<int64_t>(reinterpret_cast<uintptr_t>(host) % kGuard);
}

bool AllGuard(const std::byte* begin, const std::byte* end) {
  return std::all_of(begin, end, [](std::byte b) { return b == kGuardByte; });
}

}  // namespace

DeviceMirror::~DeviceMirror() {
  LONGSPAN_CHECK_OK(stream_.Synchronize());
  for (const Block& block : blocks_) {
    memory_.Free(block.device, static_cast<int64_t>(block.uploaded.size()));
  }
}

std::byte* DeviceMirror::Upload(const void* host, int64_t bytes, Use use) {
  const int64_t before = kGuard + Misalignment(host);
  auto* const begin = static_cast<std::byte*>(const_cast<void*>(host));
  for (Block& block : blocks_) {
    if (block.host != begin || block.bytes != bytes) continue;
    block.use = std::max(block.use, use);
    return static_cast<std::byte*>(block.device) + before;
  }
  Block block{begin, bytes, nullptr, {}, use};
  block.uploaded.assign(static_cast<size_t>(before + bytes + kGuard),
                        kGuardByte);
  if (bytes > 0) std::memcpy(block.uploaded.data() + before, host, bytes);
  const auto size = static_cast<int64_t>(block.uploaded.size());
  auto device = memory_.Allocate(size);
  LONGSPAN_CHECK_OK(device.status());
  LONGSPAN_CHECK_OK(
      memory_.CopyToDevice(block.uploaded.data(), *device, size, stream_));
  block.device = *device;
  blocks_.push_back(std::move(block));
  return static_cast<std::byte*>(*device) + before;
}

ConstTensorView DeviceMirror::In(const ConstTensorView& host) {
  if (host.is_null()) return host;
  return Over<const void*>(Upload(host.data(), SpanBytes(host), Use::kRead),
                           host);
}

TensorView DeviceMirror::Out(const TensorView& host) {
  if (host.is_null()) return host;
  return Over<void*>(Upload(host.data(), SpanBytes(host), Use::kWritten), host);
}

TensorView DeviceMirror::Scratch(const TensorView& host) {
  if (host.is_null()) return host;
  return Over<void*>(Upload(host.data(), SpanBytes(host), Use::kScratch), host);
}

Documents DeviceMirror::In(Documents documents) {
  if (documents.empty()) return documents;
  documents.device_starts = reinterpret_cast<const int64_t*>(Upload(
      documents.starts, documents.count * static_cast<int64_t>(sizeof(int64_t)),
      Use::kRead));
  return documents;
}

// Only what changed, because gaps of an output may belong to another operand.
absl::Status DeviceMirror::Download(const Block& block) {
  std::vector<std::byte> now(block.uploaded.size());
  absl::Status copied = memory_.CopyToHost(
      block.device, now.data(), static_cast<int64_t>(now.size()), stream_);
  if (copied.ok()) copied = stream_.Synchronize();
  if (!copied.ok()) return copied;
  const int64_t before = kGuard + Misalignment(block.host);
  const std::byte* const begin = now.data() + before;
  if (!AllGuard(now.data(), begin) ||
      !AllGuard(begin + block.bytes, now.data() + now.size())) {
    return absl::OutOfRangeError("an op wrote beside an operand of " +
                                 std::to_string(block.bytes) + " B");
  }
  if (block.use != Use::kWritten) return absl::OkStatus();
  for (int64_t i = 0; i < block.bytes; ++i) {
    if (begin[i] != block.uploaded[before + i]) block.host[i] = begin[i];
  }
  return absl::OkStatus();
}

absl::Status DeviceMirror::Finish(const absl::Status& status) {
  if (!status.ok()) return status;
  for (const Block& block : blocks_) {
    if (block.use == Use::kRead) continue;
    const absl::Status downloaded = Download(block);
    if (!downloaded.ok()) return downloaded;
  }
  return stream_.Synchronize();
}

}  // namespace longspan::kernels
