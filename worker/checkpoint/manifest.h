// manifest.json: what a checkpoint consists of and what it was made by. A
// checkpoint without it does not exist. The text ends with a digest of itself,
// so that a changed counter is noticed like a changed weight.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace longspan::worker {

struct ShardRecord {
  std::string file;  // a plain name in the checkpoint's directory
  int64_t bytes = 0;
  std::string sha256;  // 64 hexadecimal digits
};

struct Manifest {
  int64_t step = 0;
  uint64_t seed = 0;
  int64_t world_size = 1;
  std::string job;  // tenants/{t}/jobs/{j}
  int64_t attempt = 0;
  std::string instruction_set;  // bits differ on another one
  std::string build;            // version and commit of the writer
  std::string parameter_digest;
  // Whatever the job needs to go on or to rebuild the model: counters as
  // decimal text, the model's specification as JSON.
  std::map<std::string, std::string> state;
  std::vector<ShardRecord> shards;
};

std::string ManifestToJson(const Manifest& manifest);

// kDataLoss says what is missing, malformed or damaged.
absl::StatusOr<Manifest> ManifestFromJson(std::string_view text);

}  // namespace longspan::worker
