#include "worker/checkpoint/checkpoint_writer.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/safetensors/safetensors_header.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/checkpoint/durable_file.h"

namespace longspan::worker {
namespace {

namespace fs = std::filesystem;

std::string TemporaryPath(const CheckpointTarget& target) {
  return target.directory + "/" +
         TemporaryDirectoryName(target.step, target.attempt);
}

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("cannot create ", path, ": ", error.message()));
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno,
                             absl::StrCat("cannot rename ", from, " to ", to));
}

// The entry of one tensor; a slice also gets its place in the metadata.
absl::Status AddTensor(const CheckpointTensor& tensor,
                       SafetensorsHeader& header) {
  const std::vector<int64_t> shape = ShapeOf(tensor.data);
  if (tensor.data.is_null() || !tensor.data.is_contiguous()) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint: tensor ", tensor.name, " ",
                     tensor.data.DebugString(), " is not contiguous memory"));
  }
  header.tensors.push_back({tensor.name,
                            std::string(SafetensorsTypeOf(tensor.data.dtype())),
                            shape});
  if (tensor.global_shape.empty()) return absl::OkStatus();
  SlicePlace place = {tensor.global_shape, tensor.offset};
  place.offset.resize(shape.size(), 0);
  const std::string json = SliceToJson(place);
  const absl::Status fits = SliceFromJson(json, shape).status();
  if (!fits.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint: tensor ", tensor.name, ": ", fits.message()));
  }
  header.metadata[SliceKey(tensor.name)] = json;
  return absl::OkStatus();
}

// Leftovers of an earlier try with other shards.
absl::Status RemoveUnlisted(const std::string& path, const Manifest& manifest) {
  std::set<std::string> listed;
  for (const ShardRecord& shard : manifest.shards) listed.insert(shard.file);
  std::error_code error;
  std::vector<std::string> unlisted;
  for (fs::directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    if (listed.count(it->path().filename().string()) == 0) {
      unlisted.push_back(it->path().string());
    }
  }
  if (error) {
    return absl::InternalError(
        absl::StrCat("cannot list ", path, ": ", error.message()));
  }
  for (const std::string& file : unlisted) RETURN_IF_ERROR(RemoveTree(file));
  return absl::OkStatus();
}

absl::Status WriteManifest(const std::string& directory,
                           const Manifest& manifest) {
  ASSIGN_OR_RETURN(DurableFile file,
                   DurableFile::Create(directory + "/" + kManifestFile));
  RETURN_IF_ERROR(file.Write(ManifestToJson(manifest)));
  return file.Finish();
}

}  // namespace

absl::StatusOr<ShardRecord> WriteShard(
    const CheckpointTarget& target, int64_t index, int64_t count,
    absl::Span<const CheckpointTensor> tensors, const Transfer& transfer) {
  SafetensorsHeader header;
  header.metadata["format"] = "pt";
  std::map<std::string, kernels::ConstTensorView> data;
  for (const CheckpointTensor& tensor : tensors) {
    RETURN_IF_ERROR(AddTensor(tensor, header));
    data[tensor.name] = tensor.data;
  }
  ASSIGN_OR_RETURN(const std::string head, BuildSafetensorsHeader(header));

  const std::string directory = TemporaryPath(target);
  RETURN_IF_ERROR(MakeDirectories(directory));
  ShardRecord record;
  record.file = absl::StrFormat("shard-%05d-of-%05d.safetensors", index, count);
  ASSIGN_OR_RETURN(DurableFile file,
                   DurableFile::Create(directory + "/" + record.file));
  RETURN_IF_ERROR(file.Write(head));
  for (const SafetensorsEntry& entry : header.tensors) {
    RETURN_IF_ERROR(transfer.ForEachPiece(
        data[entry.name],
        [&file](std::string_view bytes) { return file.Write(bytes); }));
  }
  RETURN_IF_ERROR(file.Finish());
  record.bytes = file.bytes();
  record.sha256 = file.HexDigest();
  return record;
}

absl::StatusOr<std::string> CommitCheckpoint(const CheckpointTarget& target,
                                             const Manifest& manifest) {
  const std::string temporary = TemporaryPath(target);
  const std::string final_path =
      target.directory + "/" + StepDirectoryName(target.step);
  RETURN_IF_ERROR(RemoveUnlisted(temporary, manifest));
  RETURN_IF_ERROR(WriteManifest(temporary, manifest));
  RETURN_IF_ERROR(SyncDirectory(temporary));
  // Read back before anything else is given up for it.
  RETURN_IF_ERROR(CheckpointReader::Open(temporary).status());
  if (fs::exists(final_path)) {
    if (CheckpointReader::Open(final_path).ok()) {
      RETURN_IF_ERROR(RemoveTree(temporary));
      return final_path;
    }
    RETURN_IF_ERROR(RemoveTree(final_path + ".damaged"));
    RETURN_IF_ERROR(Rename(final_path, final_path + ".damaged"));
  }
  RETURN_IF_ERROR(Rename(temporary, final_path));
  RETURN_IF_ERROR(SyncDirectory(target.directory));
  return final_path;
}

}  // namespace longspan::worker
