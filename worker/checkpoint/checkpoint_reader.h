// Reading checkpoints. Everything is validated before a tensor is handed out:
// the manifest, each shard's size and digest, the shards' headers, and that the
// slices of each tensor fill it exactly once. Immutable; thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/safetensors/safetensors_reader.h"
#include "kernels/api/tensor_view.h"
#include "worker/checkpoint/checkpoint_tensor.h"
#include "worker/checkpoint/manifest.h"

namespace longspan::worker {

class CheckpointReader {
 public:
  // `path` is a complete checkpoint ("…/step-00000120"). kNotFound without a
  // manifest; kDataLoss names the file and what is wrong with it.
  static absl::StatusOr<std::unique_ptr<CheckpointReader>> Open(
      const std::string& path);

  const std::string& path() const { return path_; }
  const Manifest& manifest() const { return manifest_; }

  bool Contains(std::string_view name) const;
  std::vector<std::string> names() const;
  // The global shape; kNotFound names the tensor.
  absl::StatusOr<std::vector<int64_t>> Shape(std::string_view name) const;

  // The whole tensor into `out`, contiguous, of its type and global shape.
  absl::Status Read(std::string_view name, kernels::TensorView out,
                    const Transfer& transfer = Transfer()) const;

 private:
  struct Slice {
    const SafetensorsReader* shard = nullptr;
    const SafetensorsEntry* entry = nullptr;
    SlicePlace place;
  };

  explicit CheckpointReader(std::string path) : path_(std::move(path)) {}
  absl::Status ReadManifest();
  absl::Status OpenShard(const ShardRecord& record);
  absl::Status AddSlices(const SafetensorsReader& shard);
  absl::Status CheckTiling() const;

  const std::string path_;
  Manifest manifest_;
  std::vector<std::unique_ptr<SafetensorsReader>> shards_;
  std::map<std::string, std::vector<Slice>, std::less<>> tensors_;
};

struct LatestCheckpoint {
  std::unique_ptr<CheckpointReader> checkpoint;
  // Why newer ones were refused; each names the file.
  std::vector<std::string> refused;
};

// The newest checkpoint that is intact. kNotFound if there is none at all;
// kDataLoss with all reasons if every one is damaged.
absl::StatusOr<LatestCheckpoint> LoadLatest(const std::string& directory);

}  // namespace longspan::worker
