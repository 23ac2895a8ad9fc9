#include "cli/op/op_call.h"

#include <cstring>
#include <utility>

#include "cli/op/flag_value.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::cli {
namespace {

using kernels::DType;
using kernels::TensorView;

constexpr char kDocumentStarts[] = "document_starts";

TensorView ViewOf(void* data, DType dtype, const std::vector<int64_t>& s) {
  switch (s.size()) {
    case 0:
      return TensorView(data, dtype, {1});
    case 1:
      return TensorView(data, dtype, {s[0]});
    case 2:
      return TensorView(data, dtype, {s[0], s[1]});
    case 3:
      return TensorView(data, dtype, {s[0], s[1], s[2]});
    case 4:
      return TensorView(data, dtype, {s[0], s[1], s[2], s[3]});
    default:
      LONGSPAN_CHECK_EQ(s.size(), 5u);
      return TensorView(data, dtype, {s[0], s[1], s[2], s[3], s[4]});
  }
}

// The first `leading` sizes as one.
std::vector<int64_t> Merged(const std::vector<int64_t>& shape, size_t leading) {
  std::vector<int64_t> merged(shape.begin() + leading, shape.end());
  int64_t rows = 1;
  for (size_t i = 0; i < leading; ++i) rows *= shape[i];
  merged.insert(merged.begin(), rows);
  return merged;
}

}  // namespace

DType ElementType(TensorType type, DType operands) {
  switch (type) {
    case TensorType::kOperand:
      return operands;
    case TensorType::kSum:
      return kernels::AccumulatorOf(operands);
    case TensorType::kF64:
      return DType::kF64;
    case TensorType::kF32:
      return DType::kF32;
    case TensorType::kI32:
      return DType::kI32;
    case TensorType::kI64:
      return DType::kI64;
  }
  return operands;
}

absl::StatusOr<DeviceBuffer> DeviceBuffer::Allocate(kernels::Backend& backend,
                                                    int64_t bytes) {
  DeviceBuffer buffer;
  ASSIGN_OR_RETURN(buffer.data_, backend.memory().Allocate(bytes));
  buffer.backend_ = &backend;
  buffer.bytes_ = bytes;
  return buffer;
}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (backend_ != nullptr) backend_->memory().Free(data_, bytes_);
}

const OpCall::Entry& OpCall::Find(const std::string& name) const {
  const auto entry = tensors_.find(name);
  LONGSPAN_CHECK(entry != tensors_.end()) << "no tensor " << name;
  return entry->second;
}

TensorView OpCall::view(const std::string& name) const {
  return has(name) ? Find(name).view : TensorView();
}

const std::vector<int64_t>& OpCall::ShapeOf(const std::string& name) const {
  return Find(name).shape;
}

DType OpCall::TypeOf(const std::string& name) const {
  return Find(name).view.dtype();
}

kernels::Documents OpCall::documents() const {
  if (!has(kDocumentStarts)) return {};
  const TensorView device = view(kDocumentStarts);
  return {
      document_starts_.data(), static_cast<int64_t>(document_starts_.size()),
      place_.backend->memory().host_accessible() ? nullptr
                                                 : device.data_as<int64_t>()};
}

double OpCall::number(const std::string& flag, double otherwise) const {
  const auto value = flags_.find(flag);
  if (value == flags_.end()) return otherwise;
  const absl::StatusOr<double> number = ParseNumber(value->second);
  LONGSPAN_CHECK_OK(number);
  return *number;
}

int64_t OpCall::integer(const std::string& flag, int64_t otherwise) const {
  const auto value = flags_.find(flag);
  if (value == flags_.end()) return otherwise;
  const absl::StatusOr<int64_t> number = ParseInteger(value->second);
  LONGSPAN_CHECK_OK(number);
  return *number;
}

std::string OpCall::text(const std::string& flag,
                         const std::string& otherwise) const {
  const auto value = flags_.find(flag);
  return value == flags_.end() ? otherwise : value->second;
}

absl::StatusOr<TensorView> OpCall::Workspace(int64_t bytes) {
  if (bytes == 0) return TensorView();
  ASSIGN_OR_RETURN(DeviceBuffer buffer,
                   DeviceBuffer::Allocate(backend(), bytes));
  const TensorView view(buffer.data(), DType::kU8, {bytes});
  workspaces_.push_back(std::move(buffer));
  return view;
}

absl::Status OpCall::Add(const std::string& name, DType dtype,
                         const std::vector<int64_t>& shape,
                         std::optional<size_t> leading,
                         const std::string* host) {
  Entry entry;
  entry.shape = shape;
  const std::vector<int64_t> merged = leading ? Merged(shape, *leading) : shape;
  const TensorView sizes = ViewOf(nullptr, dtype, merged);
  ASSIGN_OR_RETURN(entry.buffer,
                   DeviceBuffer::Allocate(backend(), sizes.byte_count()));
  entry.view = ViewOf(entry.buffer.data(), dtype, merged);
  if (host != nullptr) {
    LONGSPAN_CHECK_EQ(static_cast<int64_t>(host->size()), sizes.byte_count());
    RETURN_IF_ERROR(backend().memory().CopyToDevice(
        host->data(), entry.buffer.data(), sizes.byte_count(), stream()));
  }
  if (name == kDocumentStarts) {
    document_starts_.resize(host->size() / sizeof(int64_t));
    std::memcpy(document_starts_.data(), host->data(), host->size());
  }
  tensors_[name] = std::move(entry);
  return absl::OkStatus();
}

absl::StatusOr<std::string> OpCall::Read(const std::string& name) const {
  const Entry& entry = Find(name);
  std::string bytes(entry.view.byte_count(), '\0');
  RETURN_IF_ERROR(backend().memory().CopyToHost(
      entry.buffer.data(), bytes.data(), entry.view.byte_count(), stream()));
  RETURN_IF_ERROR(stream().Synchronize());
  return bytes;
}

}  // namespace longspan::cli
