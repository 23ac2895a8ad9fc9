#include "worker/checkpoint/manifest.h"

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr char kFormat[] = "longspan-checkpoint";
constexpr int kVersion = 1;

absl::Status Bad(const std::string& problem) {
  return absl::DataLossError(absl::StrCat("manifest: ", problem));
}

absl::Status ReadText(const OrderedJson& json, const char* key,
                      std::string& out) {
  if (!json.contains(key) || !json[key].is_string()) {
    return Bad(absl::StrCat("'", key, "' is missing or not a string"));
  }
  out = json[key].get<std::string>();
  return absl::OkStatus();
}

template <typename Number>
absl::Status ReadNumber(const OrderedJson& json, const char* key, Number& out) {
  if (!json.contains(key) || !json[key].is_number_unsigned()) {
    return Bad(absl::StrCat("'", key, "' is missing or no whole number"));
  }
  out = json[key].get<Number>();
  return absl::OkStatus();
}

bool IsPlainName(const std::string& name) {
  return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
}

absl::StatusOr<ShardRecord> ReadShard(const OrderedJson& json) {
  ShardRecord shard;
  if (!json.is_object()) return Bad("a shard is not an object");
  RETURN_IF_ERROR(ReadText(json, "file", shard.file));
  RETURN_IF_ERROR(ReadNumber(json, "bytes", shard.bytes));
  RETURN_IF_ERROR(ReadText(json, "sha256", shard.sha256));
  if (!IsPlainName(shard.file)) {
    return Bad(absl::StrCat("shard name '", shard.file, "' is not plain"));
  }
  return shard;
}

absl::Status ReadState(const OrderedJson& json, Manifest& manifest) {
  if (!json.contains("state") || !json["state"].is_object()) {
    return Bad("'state' is missing or not an object");
  }
  for (const auto& [key, value] : json["state"].items()) {
    if (!value.is_string()) return Bad(absl::StrCat("state '", key, "'"));
    manifest.state[key] = value.get<std::string>();
  }
  return absl::OkStatus();
}

absl::Status CheckFormat(const OrderedJson& json) {
  if (json.is_discarded() || !json.is_object()) return Bad("not a JSON object");
  std::string format;
  int version = 0;
  RETURN_IF_ERROR(ReadText(json, "format", format));
  RETURN_IF_ERROR(ReadNumber(json, "version", version));
  if (format != kFormat || version != kVersion) {
    return Bad(absl::StrCat("format '", format, "' version ", version,
                            ", this build reads '", kFormat, "' version ",
                            kVersion));
  }
  return absl::OkStatus();
}

std::string Dump(const OrderedJson& json) {
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace

std::string ManifestToJson(const Manifest& manifest) {
  OrderedJson json;
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["step"] = manifest.step;
  json["seed"] = manifest.seed;
  json["world_size"] = manifest.world_size;
  json["job"] = manifest.job;
  json["attempt"] = manifest.attempt;
  json["instruction_set"] = manifest.instruction_set;
  json["build"] = manifest.build;
  json["parameter_digest"] = manifest.parameter_digest;
  json["state"] = OrderedJson::object();
  for (const auto& [key, value] : manifest.state) json["state"][key] = value;
  json["shards"] = OrderedJson::array();
  for (const ShardRecord& shard : manifest.shards) {
    json["shards"].push_back({{"file", shard.file},
                              {"bytes", shard.bytes},
                              {"sha256", shard.sha256}});
  }
  const std::string body = Dump(json);
  json["manifest_sha256"] = Sha256::Hex(body);
  return Dump(json);
}

absl::StatusOr<Manifest> ManifestFromJson(std::string_view text) {
  const OrderedJson json =
      OrderedJson::parse(text.begin(), text.end(), nullptr, false);
  RETURN_IF_ERROR(CheckFormat(json));
  Manifest manifest;
  RETURN_IF_ERROR(ReadNumber(json, "step", manifest.step));
  RETURN_IF_ERROR(ReadNumber(json, "seed", manifest.seed));
  RETURN_IF_ERROR(ReadNumber(json, "world_size", manifest.world_size));
  RETURN_IF_ERROR(ReadText(json, "job", manifest.job));
  RETURN_IF_ERROR(ReadNumber(json, "attempt", manifest.attempt));
  RETURN_IF_ERROR(ReadText(json, "instruction_set", manifest.instruction_set));
  RETURN_IF_ERROR(ReadText(json, "build", manifest.build));
  RETURN_IF_ERROR(
      ReadText(json, "parameter_digest", manifest.parameter_digest));
  RETURN_IF_ERROR(ReadState(json, manifest));
  if (!json.contains("shards") || !json["shards"].is_array()) {
    return Bad("'shards' is missing or not a list");
  }
  for (const OrderedJson& shard : json["shards"]) {
    ASSIGN_OR_RETURN(ShardRecord record, ReadShard(shard));
    manifest.shards.push_back(std::move(record));
  }
  // Written again it must be the same text, its own digest included.
  if (ManifestToJson(manifest) != text) {
    return Bad("damaged: its text is not the one that its digest belongs to");
  }
  return manifest;
}

}  // namespace longspan::worker
