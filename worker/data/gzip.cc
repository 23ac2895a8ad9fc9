#include "worker/data/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace longspan::worker {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr int kGzipWindow = 15 + 16;  // 32 KiB, gzip header expected

// An inflate stream over memory; frees it when destroyed.
class Inflater {
 public:
  explicit Inflater(std::string_view input) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    rest_ = input.size();
    ready_ = inflateInit2(&stream_, kGzipWindow) == Z_OK;
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  bool ready() const { return ready_; }
  bool consumed() const { return rest_ == 0 && stream_.avail_in == 0; }

  // Appends up to one piece to `text`. Z_OK, Z_STREAM_END or an error code.
  int Next(std::string& text) {
    if (stream_.avail_in == 0) {
      const size_t piece =
          std::min<size_t>(rest_, std::numeric_limits<uInt>::max());
      stream_.avail_in = static_cast<uInt>(piece);
      rest_ -= piece;
    }
    const size_t before = text.size();
    text.resize(before + kPieceBytes);
    stream_.next_out = reinterpret_cast<Bytef*>(text.data() + before);
    stream_.avail_out = kPieceBytes;
    const int code = inflate(&stream_, Z_NO_FLUSH);
    text.resize(before + kPieceBytes - stream_.avail_out);
    return code;
  }

  // Prepares for the next member.
  void Restart() { inflateReset(&stream_); }

 private:
  z_stream stream_ = {};
  size_t rest_ = 0;  // input not yet handed to zlib
  bool ready_ = false;
};

absl::Status Damaged(const std::string& name, size_t unpacked) {
  return absl::DataLossError(
      absl::StrCat(name, ": gzip data is damaged or cut off after ", unpacked,
                   " unpacked bytes; copy the file again"));
}

}  // namespace

bool LooksLikeGzip(std::string_view file) {
  return file.size() >= 2 && file.substr(0, 2) == "\x1f\x8b";
}

absl::StatusOr<std::string> UnpackGzip(std::string_view file,
                                       const std::string& name,
                                       int64_t max_bytes) {
  Inflater inflater(file);
  if (!inflater.ready()) return absl::ResourceExhaustedError("zlib: no memory");
  std::string text;
  while (true) {
    const int code = inflater.Next(text);
    if (static_cast<int64_t>(text.size()) > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(name, " unpacks to more than ", max_bytes,
                       " bytes; unpack it and give the plain file"));
    }
    if (code == Z_STREAM_END) {
      if (inflater.consumed()) return text;
      inflater.Restart();
    } else if (code != Z_OK) {
      return Damaged(name, text.size());
    }
  }
}

}  // namespace longspan::worker
