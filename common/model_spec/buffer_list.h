// A list of buffers under construction, in the types of one run. Buffers of no
// bytes are left out, as the worker does.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "common/base/divide.h"
#include "common/model_spec/memory_plan.h"
#include "common/model_spec/precision.h"

namespace longspan {

inline int64_t RoundUpToBuffer(int64_t bytes) {
  return RoundUp(bytes, kBufferAlignment);
}

class BufferList {
 public:
  // Of activations.
  explicit BufferList(int64_t element_bytes)
      : unit_(element_bytes), wide_(AccumulatorBytes(element_bytes)) {}

  BufferList& Add(const char* name, int64_t elements) {
    return AddBytes(name, elements * unit_);
  }
  // Of the type of sums.
  BufferList& AddWide(const char* name, int64_t elements) {
    return AddBytes(name, elements * wide_);
  }
  BufferList& AddBytes(const char* name, int64_t bytes) {
    if (bytes > 0) buffers_.push_back({name, RoundUpToBuffer(bytes)});
    return *this;
  }
  std::vector<Buffer> Take() { return std::move(buffers_); }

 private:
  const int64_t unit_;
  const int64_t wide_;
  std::vector<Buffer> buffers_;
};

}  // namespace longspan
