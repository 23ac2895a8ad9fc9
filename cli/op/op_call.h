// One call of an op: its tensors in the backend's memory, its sizes and flags.
// Made by ExecuteOp, read by the functions of a description.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/op/op_description.h"
#include "cli/op/tensor_shape.h"
#include "kernels/api/backend.h"
#include "kernels/cost/backend_kind.h"

namespace longspan::cli {

// The type of a tensor where the op runs in `operands`.
kernels::DType ElementType(TensorType type, kernels::DType operands);

// Where an op runs. The backend must outlive the place.
struct OpPlace {
  kernels::BackendKind kind = kernels::BackendKind::kReference;
  kernels::Backend* backend = nullptr;
  kernels::Stream* stream = nullptr;
  int threads = 1;
};

// Memory of a backend. A stream that still uses it must be synchronised before
// it goes away.
class DeviceBuffer {
 public:
  static absl::StatusOr<DeviceBuffer> Allocate(kernels::Backend& backend,
                                               int64_t bytes);
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  ~DeviceBuffer();

  void* data() const { return data_; }

 private:
  kernels::Backend* backend_ = nullptr;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

class OpCall {
 public:
  OpCall(const OpPlace& place, kernels::DType dtype,
         const std::map<std::string, std::string>& flags)
      : place_(place), dtype_(dtype), flags_(flags) {}

  // Null for tensors that are not there. The leading sizes of "* N" are one.
  kernels::ConstTensorView in(const std::string& name) const {
    return view(name);
  }
  kernels::TensorView out(const std::string& name) const { return view(name); }
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  // The tensor document_starts; none if it is not there.
  kernels::Documents documents() const;

  int64_t size(const std::string& name) const { return sizes_.Get(name); }
  ShapeSizes& sizes() { return sizes_; }

  // Which of an output's alternative shapes it has, or none: it is not made.
  void Choose(const std::string& output, std::optional<int> alternative) {
    choices_[output] = alternative;
  }
  std::optional<int> Chosen(const std::string& output) const {
    const auto choice = choices_.find(output);
    return choice == choices_.end() ? 0 : choice->second;
  }

  bool given(const std::string& flag) const { return flags_.count(flag) > 0; }
  // The flag's value, or `otherwise` where it is not given.
  double number(const std::string& flag, double otherwise) const;
  int64_t integer(const std::string& flag, int64_t otherwise) const;
  std::string text(const std::string& flag, const std::string& otherwise) const;

  kernels::DType dtype() const { return dtype_; }
  int64_t element_bytes() const { return kernels::BytesPerElement(dtype_); }
  kernels::Backend& backend() const { return *place_.backend; }
  kernels::Stream& stream() const { return *place_.stream; }
  kernels::BackendKind kind() const { return place_.kind; }
  int threads() const { return place_.threads; }

  // Null for 0 bytes; lives as long as the call.
  absl::StatusOr<kernels::TensorView> Workspace(int64_t bytes);

  // A tensor of this shape, zero, whose first `leading` sizes its view has as
  // one; `host` (null: none) is copied into it.
  absl::Status Add(const std::string& name, kernels::DType dtype,
                   const std::vector<int64_t>& shape,
                   std::optional<size_t> leading, const std::string* host);
  // Its bytes, once the stream has been synchronised.
  absl::StatusOr<std::string> Read(const std::string& name) const;
  const std::vector<int64_t>& ShapeOf(const std::string& name) const;
  kernels::DType TypeOf(const std::string& name) const;

 private:
  struct Entry {
    DeviceBuffer buffer;
    kernels::TensorView view;
    std::vector<int64_t> shape;
  };
  kernels::TensorView view(const std::string& name) const;
  const Entry& Find(const std::string& name) const;

  const OpPlace place_;
  const kernels::DType dtype_;
  const std::map<std::string, std::string>& flags_;
  ShapeSizes sizes_;
  std::map<std::string, std::optional<int>> choices_;
  std::map<std::string, Entry> tensors_;
  std::vector<int64_t> document_starts_;
  std::vector<DeviceBuffer> workspaces_;
};

}  // namespace longspan::cli
