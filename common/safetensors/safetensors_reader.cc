#include "common/safetensors/safetensors_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/unique_fd.h"

namespace longspan {
namespace {

constexpr size_t kLengthBytes = sizeof(uint64_t);

absl::Status WithPath(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(path, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SafetensorsReader>> SafetensorsReader::Open(
    const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  }
  struct stat status = {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return absl::DataLossError(absl::StrCat(path, " is not a regular file"));
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size < kLengthBytes) {
    return absl::DataLossError(absl::StrCat(
        path, " is cut off: ", size, " bytes, less than a header's length"));
  }
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot map ", path));
  }
  std::unique_ptr<SafetensorsReader> reader(
      new SafetensorsReader(static_cast<const char*>(data), size));
  const absl::Status parsed = reader->Parse();
  if (!parsed.ok()) return WithPath(path, parsed);
  return reader;
}

SafetensorsReader::~SafetensorsReader() {
  munmap(const_cast<char*>(data_), size_);
}

absl::Status SafetensorsReader::Parse() {
  uint64_t length = 0;
  std::memcpy(&length, data_, kLengthBytes);
  if (length > static_cast<uint64_t>(kMaxSafetensorsHeaderBytes)) {
    return absl::DataLossError(absl::StrCat("the header claims ", length,
                                            " bytes, the limit is ",
                                            kMaxSafetensorsHeaderBytes));
  }
  if (length > size_ - kLengthBytes) {
    return absl::DataLossError(absl::StrCat("cut off: the header claims ",
                                            length, " bytes, the file has ",
                                            size_, " in all"));
  }
  tensors_begin_ = kLengthBytes + length;
  ASSIGN_OR_RETURN(header_, ParseSafetensorsHeader(
                                {data_ + kLengthBytes, length},
                                static_cast<int64_t>(size_ - tensors_begin_)));
  return absl::OkStatus();
}

const SafetensorsEntry* SafetensorsReader::Find(std::string_view name) const {
  for (const SafetensorsEntry& entry : header_.tensors) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

std::string_view SafetensorsReader::Bytes(const SafetensorsEntry& entry) const {
  return {data_ + tensors_begin_ + entry.begin,
          static_cast<size_t>(entry.end - entry.begin)};
}

}  // namespace longspan
