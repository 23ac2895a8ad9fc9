// An arena: the memory of one step, reserved once, handed out by moving a
// pointer, given back by moving it back.
//
// The size is the planner's prediction (common/model_spec/memory_plan.h).
// Asking for more is a broken invariant, not an error value: it means that
// plan and code disagree, and the process aborts naming the buffer. The memory
// is the backend's. Contents are not cleared between steps. Not thread-safe.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/tensor_view.h"
#include "worker/tensor/device_buffer.h"

namespace longspan::worker {

class Arena {
 public:
  using Mark = int64_t;

  static absl::StatusOr<Arena> Create(kernels::DeviceMemory& memory,
                                      int64_t bytes);

  // A contiguous buffer, aligned and rounded up to 64 bytes. `name` is the
  // buffer's name in the memory plan.
  kernels::TensorView Allocate(std::string_view name, kernels::DType dtype,
                               std::initializer_list<int64_t> shape);
  // Bytes for an op's workspace; a null view when bytes is 0.
  kernels::TensorView AllocateWorkspace(std::string_view name, int64_t bytes);

  Mark mark() const { return used_; }
  // Frees everything allocated since `mark`.
  void Release(Mark mark);

  int64_t capacity() const { return buffer_.bytes(); }
  int64_t high_water() const { return high_water_; }

  // For tests: the names and rounded sizes of all allocations since the call.
  struct Allocation {
    std::string name;
    int64_t bytes = 0;
  };
  void StartRecording();
  const std::vector<Allocation>& recording() const { return recording_; }

 private:
  explicit Arena(DeviceBuffer buffer) : buffer_(std::move(buffer)) {}
  void* Take(std::string_view name, int64_t bytes);

  DeviceBuffer buffer_;
  int64_t used_ = 0;
  int64_t high_water_ = 0;
  bool recording_on_ = false;
  std::vector<Allocation> recording_;
};

// Releases an arena to where it stood at construction.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.Release(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  const Arena::Mark mark_;
};

}  // namespace longspan::worker
