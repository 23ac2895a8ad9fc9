#include "worker/checkpoint/checkpoint_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/durable_file.h"

namespace longspan::worker {
namespace {

constexpr int64_t kMaxManifestBytes = 16 << 20;

int64_t CountOf(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count;
}

bool Overlap(const SlicePlace& a, const std::vector<int64_t>& a_shape,
             const SlicePlace& b, const std::vector<int64_t>& b_shape) {
  for (size_t dim = 0; dim < a_shape.size(); ++dim) {
    if (a.offset[dim] + a_shape[dim] <= b.offset[dim] ||
        b.offset[dim] + b_shape[dim] <= a.offset[dim]) {
      return false;
    }
  }
  return true;
}

// Elements that lie side by side in both the slice and the whole tensor.
int64_t RunOf(const std::vector<int64_t>& shape, const SlicePlace& place) {
  int64_t run = 1;
  for (size_t dim = shape.size(); dim-- > 0;) {
    run *= shape[dim];
    if (shape[dim] != place.global_shape[dim]) break;
  }
  return run;
}

// Copies a slice to its place in the whole tensor `out`, run by run.
absl::Status CopySlice(const char* from, const std::vector<int64_t>& shape,
                       const SlicePlace& place, kernels::TensorView out,
                       const Transfer& transfer) {
  const int64_t width = kernels::BytesPerElement(out.dtype());
  const kernels::TensorView flat = out.Reshape({out.element_count()});
  const int64_t count = CountOf(shape);
  const int64_t run = RunOf(shape, place);
  for (int64_t first = 0; first < count; first += run) {
    int64_t rest = first;
    int64_t target = 0;
    int64_t stride = 1;
    for (size_t dim = shape.size(); dim-- > 0;) {
      target += (place.offset[dim] + rest % shape[dim]) * stride;
      rest /= shape[dim];
      stride *= place.global_shape[dim];
    }
    RETURN_IF_ERROR(transfer.Upload(from + first * width,
                                    flat.Slice(0, target, target + run)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<CheckpointReader>> CheckpointReader::Open(
    const std::string& path) {
  std::unique_ptr<CheckpointReader> reader(new CheckpointReader(path));
  RETURN_IF_ERROR(reader->ReadManifest());
  for (const ShardRecord& record : reader->manifest_.shards) {
    RETURN_IF_ERROR(reader->OpenShard(record));
  }
  RETURN_IF_ERROR(reader->CheckTiling());
  return reader;
}

absl::Status CheckpointReader::ReadManifest() {
  const std::string file = path_ + "/" + kManifestFile;
  ASSIGN_OR_RETURN(const std::string text,
                   ReadSmallFile(file, kMaxManifestBytes));
  absl::StatusOr<Manifest> manifest = ManifestFromJson(text);
  if (!manifest.ok()) {
    return absl::DataLossError(
        absl::StrCat(file, ": ", manifest.status().message()));
  }
  manifest_ = *std::move(manifest);
  return absl::OkStatus();
}

absl::Status CheckpointReader::OpenShard(const ShardRecord& record) {
  const std::string file = path_ + "/" + record.file;
  absl::StatusOr<std::unique_ptr<SafetensorsReader>> shard =
      SafetensorsReader::Open(file);
  if (!shard.ok()) {
    return absl::DataLossError(shard.status().message());
  }
  const std::string_view bytes = (*shard)->file_bytes();
  if (static_cast<int64_t>(bytes.size()) != record.bytes) {
    return absl::DataLossError(absl::StrCat(file, " has ", bytes.size(),
                                            " bytes, the manifest says ",
                                            record.bytes));
  }
  if (Sha256::Hex(bytes) != record.sha256) {
    return absl::DataLossError(absl::StrCat(
        file, " is damaged: its SHA-256 is not the one in the manifest"));
  }
  shards_.push_back(*std::move(shard));
  const absl::Status added = AddSlices(*shards_.back());
  if (added.ok()) return added;
  return absl::DataLossError(absl::StrCat(file, ": ", added.message()));
}

absl::Status CheckpointReader::AddSlices(const SafetensorsReader& shard) {
  const auto& metadata = shard.header().metadata;
  for (const SafetensorsEntry& entry : shard.header().tensors) {
    SlicePlace place = {entry.shape,
                        std::vector<int64_t>(entry.shape.size(), 0)};
    const auto found = metadata.find(SliceKey(entry.name));
    if (found != metadata.end()) {
      ASSIGN_OR_RETURN(place, SliceFromJson(found->second, entry.shape));
    }
    tensors_[entry.name].push_back({&shard, &entry, std::move(place)});
  }
  return absl::OkStatus();
}

absl::Status CheckpointReader::CheckTiling() const {
  for (const auto& [name, slices] : tensors_) {
    const Slice& first = slices[0];
    int64_t covered = 0;
    bool fits = true;
    for (size_t i = 0; i < slices.size(); ++i) {
      const Slice& slice = slices[i];
      covered += CountOf(slice.entry->shape);
      fits = fits && slice.place.global_shape == first.place.global_shape &&
             slice.entry->dtype == first.entry->dtype;
      for (size_t j = 0; fits && j < i; ++j) {
        fits = !Overlap(slice.place, slice.entry->shape, slices[j].place,
                        slices[j].entry->shape);
      }
    }
    if (fits && covered == CountOf(first.place.global_shape)) continue;
    return absl::DataLossError(absl::StrCat(path_, ": the slices of tensor ",
                                            name,
                                            " do not fill it exactly once"));
  }
  return absl::OkStatus();
}

bool CheckpointReader::Contains(std::string_view name) const {
  return tensors_.find(name) != tensors_.end();
}

std::vector<std::string> CheckpointReader::names() const {
  std::vector<std::string> names;
  for (const auto& [name, slices] : tensors_) names.push_back(name);
  return names;
}

absl::StatusOr<std::vector<int64_t>> CheckpointReader::Shape(
    std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    return absl::NotFoundError(
        absl::StrCat(path_, " has no tensor ", std::string(name)));
  }
  return found->second[0].place.global_shape;
}

absl::Status CheckpointReader::Read(std::string_view name,
                                    kernels::TensorView out,
                                    const Transfer& transfer) const {
  ASSIGN_OR_RETURN(const std::vector<int64_t> shape, Shape(name));
  const std::vector<Slice>& slices = tensors_.find(name)->second;
  const std::string& dtype = slices[0].entry->dtype;
  if (ShapeOf(out) != shape || SafetensorsTypeOf(out.dtype()) != dtype ||
      !out.is_contiguous()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ": tensor ", std::string(name), " is ", dtype, "[",
        absl::StrJoin(shape, ", "), "], wanted is ", out.DebugString()));
  }
  for (const Slice& slice : slices) {
    RETURN_IF_ERROR(CopySlice(slice.shard->Bytes(*slice.entry).data(),
                              slice.entry->shape, slice.place, out, transfer));
  }
  return absl::OkStatus();
}

absl::StatusOr<LatestCheckpoint> LoadLatest(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<CheckpointEntry> entries,
                   ListCheckpoints(directory));
  LatestCheckpoint latest;
  for (const CheckpointEntry& entry : entries) {
    absl::StatusOr<std::unique_ptr<CheckpointReader>> reader =
        CheckpointReader::Open(entry.path);
    if (reader.ok()) {
      latest.checkpoint = *std::move(reader);
      return latest;
    }
    latest.refused.emplace_back(reader.status().message());
  }
  if (latest.refused.empty()) {
    return absl::NotFoundError(absl::StrCat("no checkpoint in ", directory));
  }
  return absl::DataLossError(
      absl::StrCat("every checkpoint in ", directory,
                   " is damaged: ", absl::StrJoin(latest.refused, "; ")));
}

}  // namespace longspan::worker
