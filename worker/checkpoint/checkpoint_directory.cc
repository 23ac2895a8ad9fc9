#include "worker/checkpoint/checkpoint_directory.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "step-";
constexpr size_t kPrefixSize = sizeof(kPrefix) - 1;

struct StepName {
  int64_t step = 0;
  bool complete = false;  // nothing behind the number
};

std::optional<StepName> ParseName(const std::string& name) {
  if (name.compare(0, kPrefixSize, kPrefix) != 0) return std::nullopt;
  const size_t end =
      std::min(name.find_first_not_of("0123456789", kPrefixSize), name.size());
  StepName result;
  const std::string digits = name.substr(kPrefixSize, end - kPrefixSize);
  if (!absl::SimpleAtoi(digits, &result.step)) return std::nullopt;
  result.complete = end == name.size();
  if (!result.complete && name[end] != '.') return std::nullopt;
  return result;
}

struct Listing {
  std::vector<CheckpointEntry> complete;  // newest first
  std::vector<CheckpointEntry> remains;
};

absl::StatusOr<Listing> List(const std::string& directory) {
  Listing listing;
  std::error_code error;
  fs::directory_iterator iterator(directory, error);
  if (error == std::errc::no_such_file_or_directory) return listing;
  for (; !error && iterator != fs::directory_iterator();
       iterator.increment(error)) {
    const fs::path& path = iterator->path();
    const auto name = ParseName(path.filename().string());
    if (!name.has_value()) continue;
    auto& list = name->complete ? listing.complete : listing.remains;
    list.push_back({name->step, path.string()});
  }
  if (error) {
    return absl::InternalError(
        absl::StrCat("cannot list ", directory, ": ", error.message()));
  }
  std::sort(listing.complete.begin(), listing.complete.end(),
            [](const auto& a, const auto& b) { return a.step > b.step; });
  return listing;
}

// Renamed first: a checkpoint half removed must not look like one.
absl::Status RemoveCheckpoint(const std::string& path) {
  const std::string doomed = path + ".deleted";
  RETURN_IF_ERROR(RemoveTree(doomed));
  if (std::rename(path.c_str(), doomed.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot rename ", path));
  }
  return RemoveTree(doomed);
}

}  // namespace

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("cannot remove ", path, ": ", error.message()));
}

std::string StepDirectoryName(int64_t step) {
  return absl::StrFormat("%s%08d", kPrefix, step);
}

std::string TemporaryDirectoryName(int64_t step, int64_t attempt) {
  return absl::StrCat(StepDirectoryName(step), ".tmp-", attempt);
}

absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints(
    const std::string& directory) {
  ASSIGN_OR_RETURN(Listing listing, List(directory));
  return std::move(listing.complete);
}

absl::Status PruneCheckpoints(const std::string& directory, int64_t keep_last) {
  if (keep_last < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("keep_last is ", keep_last, ", needs to be at least 1"));
  }
  ASSIGN_OR_RETURN(const Listing listing, List(directory));
  const auto& complete = listing.complete;
  for (size_t i = keep_last; i < complete.size(); ++i) {
    RETURN_IF_ERROR(RemoveCheckpoint(complete[i].path));
  }
  for (const CheckpointEntry& entry : listing.remains) {
    if (complete.empty() || entry.step > complete[0].step) continue;
    RETURN_IF_ERROR(RemoveTree(entry.path));
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
