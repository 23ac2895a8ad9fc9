#include "tests/support/device_mirror/device_mirror.h"

#include <cstddef>
#include <cstring>

#include "common/base/check.h"

namespace longspan::kernels {
namespace {

// Calls fn(offset in bytes of a view's element, its number), row-major.
template <typename View, typename Fn>
void ForEachElement(const View& view, const Fn& fn) {
  const int64_t width = BytesPerElement(view.dtype());
  const int64_t count = view.element_count();
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, offset = 0;
    for (int dim = view.rank() - 1; dim >= 0; --dim) {
      offset += rest % view.size(dim) * view.stride(dim);
      rest /= view.size(dim);
    }
    fn(offset * width, i * width, width);
  }
}

std::vector<std::byte> Pack(const ConstTensorView& view) {
  std::vector<std::byte> packed(static_cast<size_t>(view.byte_count()));
  const auto* from = static_cast<const std::byte*>(view.data());
  ForEachElement(view, [&](int64_t offset, int64_t at, int64_t width) {
    std::memcpy(packed.data() + at, from + offset, static_cast<size_t>(width));
  });
  return packed;
}

void Unpack(const std::vector<std::byte>& packed, const TensorView& view) {
  auto* to = static_cast<std::byte*>(view.data());
  ForEachElement(view, [&](int64_t offset, int64_t at, int64_t width) {
    std::memcpy(to + offset, packed.data() + at, static_cast<size_t>(width));
  });
}

template <typename Pointer>
BasicTensorView<Pointer> Contiguous(Pointer data, const ConstTensorView& like) {
  const auto n = [&](int dim) { return like.size(dim); };
  const DType type = like.dtype();
  switch (like.rank()) {
    case 1:
      return {data, type, {n(0)}};
    case 2:
      return {data, type, {n(0), n(1)}};
    case 3:
      return {data, type, {n(0), n(1), n(2)}};
    case 4:
      return {data, type, {n(0), n(1), n(2), n(3)}};
    default:
      LONGSPAN_CHECK(like.rank() == 5) << "rank " << like.rank();
      return {data, type, {n(0), n(1), n(2), n(3), n(4)}};
  }
}

}  // namespace

DeviceMirror::~DeviceMirror() {
  LONGSPAN_CHECK_OK(stream_.Synchronize());
  for (const Block& block : blocks_) memory_.Free(block.device, block.bytes);
}

void* DeviceMirror::Upload(const void* host, int64_t bytes,
                           const TensorView& back) {
  auto device = memory_.Allocate(bytes);
  LONGSPAN_CHECK_OK(device.status());
  blocks_.push_back({*device, bytes, back});
  if (bytes > 0) {
    LONGSPAN_CHECK_OK(memory_.CopyToDevice(host, *device, bytes, stream_));
  }
  return *device;
}

ConstTensorView DeviceMirror::In(const ConstTensorView& host) {
  if (host.is_null()) return host;
  const std::vector<std::byte> packed = Pack(host);
  return Contiguous<const void*>(
      Upload(packed.data(), host.byte_count(), TensorView()), host);
}

TensorView DeviceMirror::Out(const TensorView& host) {
  if (host.is_null()) return host;
  const std::vector<std::byte> packed = Pack(host);
  return Contiguous<void*>(Upload(packed.data(), host.byte_count(), host),
                           host);
}

Documents DeviceMirror::In(Documents documents) {
  if (documents.empty()) return documents;
  documents.device_starts = static_cast<const int64_t*>(Upload(
      documents.starts, documents.count * static_cast<int64_t>(sizeof(int64_t)),
      TensorView()));
  return documents;
}

absl::Status DeviceMirror::Finish(const absl::Status& status) {
  if (!status.ok()) return status;
  for (const Block& block : blocks_) {
    if (block.host.is_null() || block.bytes == 0) continue;
    std::vector<std::byte> packed(static_cast<size_t>(block.bytes));
    absl::Status copied =
        memory_.CopyToHost(block.device, packed.data(), block.bytes, stream_);
    if (copied.ok()) copied = stream_.Synchronize();
    if (!copied.ok()) return copied;
    Unpack(packed, block.host);
  }
  return stream_.Synchronize();
}

}  // namespace longspan::kernels
