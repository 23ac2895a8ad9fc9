// The tokens of a text: one byte, one token.
//
// A text is a plain file, which is mapped into memory, or a gzip file, which is
// unpacked into memory when it is opened. Offsets always count bytes of the
// unpacked text. Immutable after opening; thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/unique_fd.h"

namespace longspan::worker {

// Bytes [begin, end) of a text; end 0: to its end.
struct TextRange {
  int64_t begin = 0;
  int64_t end = 0;
};

class TokenSource {
 public:
  // Number of different tokens.
  static constexpr int32_t kVocabulary = 256;
  // Bytes to which a gzip file may unpack.
  static constexpr int64_t kMaxUnpackedBytes = int64_t{8} << 30;

  // Opens `file` for reading; `name` is what messages call it. Errors:
  // kNotFound, kInvalidArgument for a range outside the text, an empty range,
  // a token file of another format, or one that is no regular file;
  // kDataLoss for a damaged gzip file.
  static absl::StatusOr<std::unique_ptr<TokenSource>> Open(
      UniqueFd file, std::string name, TextRange range = {});

  // A text in memory, copied.
  static std::unique_ptr<TokenSource> FromText(std::string text,
                                               std::string name);

  virtual ~TokenSource() = default;

  const std::string& name() const { return name_; }
  // Tokens of the range.
  int64_t size() const { return static_cast<int64_t>(text_.size()); }
  // The range's bytes.
  std::string_view text() const { return text_; }

  // Tokens [begin, begin + inputs.size()) of the range, and for each the token
  // that follows it. After the last token of the range there is none: its
  // target is kNoTarget. kOutOfRange names the range.
  static constexpr int32_t kNoTarget = -1;
  absl::Status Read(int64_t begin, absl::Span<int32_t> inputs,
                    absl::Span<int32_t> targets) const;

 protected:
  TokenSource(std::string name, std::string_view text)
      : name_(std::move(name)), text_(text) {}

  std::string name_;
  std::string_view text_;
};

}  // namespace longspan::worker
