#include "worker/executor/frame_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

constexpr size_t kPrefixBytes = 4;

absl::Status SystemError(const char* what) {
  return absl::UnavailableError(
      absl::StrCat("agent socket: ", what, ": ", std::strerror(errno)));
}

uint32_t DecodeSize(const unsigned char* prefix) {
  uint32_t size = 0;
  for (size_t i = 0; i < kPrefixBytes; ++i) {
    size |= static_cast<uint32_t>(prefix[i]) << (8 * i);
  }
  return size;
}

}  // namespace

absl::StatusOr<size_t> FrameSocket::ReadFully(char* data, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::recv(fd_.get(), data + done, size - done, 0);
    if (n == 0) break;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError("recv");
    done += static_cast<size_t>(n);
  }
  return done;
}

absl::StatusOr<std::string> FrameSocket::Read() {
  unsigned char prefix[kPrefixBytes];
  ASSIGN_OR_RETURN(size_t got,
                   ReadFully(reinterpret_cast<char*>(prefix), kPrefixBytes));
  if (got == 0) return absl::OutOfRangeError("agent socket: end of file");
  if (got < kPrefixBytes) {
    return absl::DataLossError("agent socket: end of file within a prefix");
  }
  const uint32_t size = DecodeSize(prefix);
  if (size > kMaxFrameBytes) {
    return absl::DataLossError(absl::StrCat("agent socket: a frame of ", size,
                                            " bytes; the limit is ",
                                            kMaxFrameBytes));
  }
  std::string frame(size, '\0');
  ASSIGN_OR_RETURN(got, ReadFully(frame.data(), size));
  if (got < size) {
    return absl::DataLossError(absl::StrCat("agent socket: end of file after ",
                                            got, " of ", size, " bytes"));
  }
  return frame;
}

absl::Status FrameSocket::WriteFully(const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::send(fd_.get(), data, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError("send");
    data += n;
    size -= static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

absl::Status FrameSocket::Write(std::string_view frame) {
  if (frame.size() > kMaxFrameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("agent socket: a frame of ", frame.size(),
                     " bytes; the limit is ", kMaxFrameBytes));
  }
  char prefix[kPrefixBytes];
  for (size_t i = 0; i < kPrefixBytes; ++i) {
    prefix[i] = static_cast<char>((frame.size() >> (8 * i)) & 0xff);
  }
  RETURN_IF_ERROR(WriteFully(prefix, kPrefixBytes));
  return WriteFully(frame.data(), frame.size());
}

void FrameSocket::Shutdown() { ::shutdown(fd_.get(), SHUT_RDWR); }

}  // namespace longspan::worker
