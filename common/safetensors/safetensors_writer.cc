#include "common/safetensors/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/unique_fd.h"
#include "common/safetensors/safetensors_header.h"

namespace longspan {
namespace {

absl::Status Failed(const char* what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

absl::Status WriteAll(int file, std::string_view bytes,
                      const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// The header, and in its order the tensors that it describes.
absl::Status WriteParts(int file, const SafetensorsHeader& header,
                        std::string_view head,
                        const std::vector<SafetensorsTensor>& tensors,
                        const std::string& path) {
  RETURN_IF_ERROR(WriteAll(file, head, path));
  for (const SafetensorsEntry& entry : header.tensors) {
    for (const SafetensorsTensor& tensor : tensors) {
      if (tensor.name != entry.name) continue;
      RETURN_IF_ERROR(WriteAll(file, tensor.bytes, path));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBytes(const SafetensorsHeader& header,
                        const std::vector<SafetensorsTensor>& tensors) {
  for (const SafetensorsEntry& entry : header.tensors) {
    for (const SafetensorsTensor& tensor : tensors) {
      const auto bytes = static_cast<int64_t>(tensor.bytes.size());
      if (tensor.name != entry.name || bytes == entry.end - entry.begin) {
        continue;
      }
      return absl::InvalidArgumentError(
          absl::StrCat("tensor '", tensor.name, "' has ", bytes,
                       " bytes, its shape needs ", entry.end - entry.begin));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteSafetensors(
    const std::string& path, const std::vector<SafetensorsTensor>& tensors,
    const std::map<std::string, std::string>& metadata) {
  SafetensorsHeader header;
  header.metadata = metadata;
  for (const SafetensorsTensor& tensor : tensors) {
    header.tensors.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  ASSIGN_OR_RETURN(const std::string head, BuildSafetensorsHeader(header));
  RETURN_IF_ERROR(CheckBytes(header, tensors));
  const std::string partial = path + ".partial";
  const UniqueFd file(
      open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.valid()) return Failed("create", partial);
  absl::Status status = WriteParts(file.get(), header, head, tensors, partial);
  if (status.ok() && std::rename(partial.c_str(), path.c_str()) != 0) {
    status = Failed("replace", path);
  }
  if (!status.ok()) unlink(partial.c_str());
  return status;
}

}  // namespace longspan
