// Length-prefixed frames over a stream socket: a little-endian u32 size, then
// that many bytes, at most 64 MiB.
//
// Read by one thread and written by one thread; the two may differ. Shutdown
// may be called from any thread and ends a blocked Read and Write.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/unique_fd.h"

namespace longspan::worker {

inline constexpr size_t kMaxFrameBytes = size_t{64} << 20;

class FrameSocket {
 public:
  explicit FrameSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  // kOutOfRange: the other end closed between two frames. kDataLoss: it closed
  // within one, or announced more than 64 MiB. kUnavailable: the system's
  // error.
  absl::StatusOr<std::string> Read();

  absl::Status Write(std::string_view frame);

  void Shutdown();

 private:
  absl::StatusOr<size_t> ReadFully(char* data, size_t size);
  absl::Status WriteFully(const char* data, size_t size);

  const UniqueFd fd_;
};

}  // namespace longspan::worker
