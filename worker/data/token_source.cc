#include "worker/data/token_source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/gzip.h"

namespace longspan::worker {
namespace {

constexpr uint32_t kLlmcMagics[] = {20240520, 20240801};

// A read-only mapping of a whole file.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* data, size_t size) : data_(data), size_(size) {}
  ~Mapping() {
    if (data_ != nullptr) munmap(data_, size_);
  }
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&&) = delete;

  std::string_view bytes() const {
    return {static_cast<const char*>(data_), size_};
  }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

absl::StatusOr<Mapping> Map(const UniqueFd& file, const std::string& name) {
  struct stat status = {};
  if (fstat(file.get(), &status) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot look at ", name));
  }
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is not a regular file"));
  }
  if (status.st_size == 0) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is empty"));
  }
  const auto size = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot map ", name));
  }
  return Mapping(data, size);
}

// Token files are refused by name: read as bytes they would train on noise.
absl::Status RefuseTokenFiles(std::string_view file, const std::string& name) {
  uint32_t magic = 0;
  if (file.size() >= sizeof(magic)) {
    std::memcpy(&magic, file.data(), sizeof(magic));
  }
  const bool llmc =
      std::count(std::begin(kLlmcMagics), std::end(kLlmcMagics), magic) > 0;
  if (llmc || file.substr(0, 9) == std::string_view("MMIDIDX\0\0", 9)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is a token file (", llmc ? "llm.c" : "Megatron",
                     "); only byte-level text is read, plain or gzip"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> Cut(std::string_view text,
                                     const std::string& name, TextRange range) {
  const auto size = static_cast<int64_t>(text.size());
  const int64_t end = range.end == 0 ? size : range.end;
  if (range.begin < 0 || range.begin >= end || end > size) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": the range [", range.begin, ", ", end,
                     ") is empty or outside the text of ", size, " bytes"));
  }
  return text.substr(range.begin, end - range.begin);
}

class MappedSource : public TokenSource {
 public:
  MappedSource(std::string name, Mapping mapping, std::string_view text)
      : TokenSource(std::move(name), text), mapping_(std::move(mapping)) {}

 private:
  const Mapping mapping_;
};

class OwnedSource : public TokenSource {
 public:
  OwnedSource(std::string name, std::string owned)
      : TokenSource(std::move(name), {}), owned_(std::move(owned)) {
    text_ = owned_;
  }

 private:
  const std::string owned_;
};

absl::StatusOr<std::unique_ptr<TokenSource>> OpenGzip(std::string_view file,
                                                      std::string name,
                                                      TextRange range) {
  ASSIGN_OR_RETURN(std::string whole,
                   UnpackGzip(file, name, TokenSource::kMaxUnpackedBytes));
  ASSIGN_OR_RETURN(const std::string_view text, Cut(whole, name, range));
  // Only the range is kept.
  return std::make_unique<OwnedSource>(std::move(name), std::string(text));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenSource>> TokenSource::Open(
    UniqueFd file, std::string name, TextRange range) {
  ASSIGN_OR_RETURN(Mapping mapping, Map(file, name));
  const std::string_view bytes = mapping.bytes();
  if (LooksLikeGzip(bytes)) return OpenGzip(bytes, std::move(name), range);
  RETURN_IF_ERROR(RefuseTokenFiles(bytes, name));
  ASSIGN_OR_RETURN(const std::string_view text, Cut(bytes, name, range));
  return std::make_unique<MappedSource>(std::move(name), std::move(mapping),
                                        text);
}

std::unique_ptr<TokenSource> TokenSource::FromText(std::string text,
                                                   std::string name) {
  return std::make_unique<OwnedSource>(std::move(name), std::move(text));
}

absl::Status TokenSource::Read(int64_t begin, absl::Span<int32_t> inputs,
                               absl::Span<int32_t> targets) const {
  const auto count = static_cast<int64_t>(inputs.size());
  if (begin < 0 || begin > size() || count > size() - begin ||
      targets.size() != inputs.size()) {
    return absl::OutOfRangeError(absl::StrCat(
        name_, ": tokens [", begin, ", ", begin + count, ") with ",
        targets.size(), " targets were asked for, the text has ", size()));
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t next = begin + i + 1;
    inputs[i] = static_cast<uint8_t>(text_[begin + i]);
    targets[i] = next < size() ? static_cast<uint8_t>(text_[next]) : kNoTarget;
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
