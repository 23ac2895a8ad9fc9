#include "common/base/shared_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

std::string Environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

// prefix/lib/python3.12/site-packages and the like.
std::vector<std::string> PackageDirectories(const std::string& prefix) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(prefix + "/lib", ignored)) {
    const std::string python = entry.path().string();
    if (!absl::StartsWith(entry.path().filename().string(), "python3")) {
      continue;
    }
    found.push_back(python + "/site-packages");
    found.push_back(python + "/dist-packages");
  }
  return found;
}

std::vector<std::string> PythonDirectories() {
  std::vector<std::string> found =
      absl::StrSplit(Environment("PYTHONPATH"), ':', absl::SkipEmpty());
  for (const std::string& prefix :
       {Environment("VIRTUAL_ENV"), Environment("CONDA_PREFIX"),
        std::string("/usr/local"), std::string("/usr"),
        std::string("/opt/venv"), std::string("/opt/conda")}) {
    if (prefix.empty()) continue;
    const std::vector<std::string> more = PackageDirectories(prefix);
    found.insert(found.end(), more.begin(), more.end());
  }
  return found;
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

std::vector<std::string> SharedLibraryPlaces(
    const SharedLibrarySearch& search) {
  const std::string chosen = Environment(search.variable);
  if (!chosen.empty()) return {chosen};
  std::vector<std::string> places = {search.name};
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const std::string toolkit = Environment(variable);
    if (toolkit.empty()) continue;
    places.push_back(absl::StrCat(toolkit, "/lib64/", search.name));
  }
  places.push_back("/usr/local/cuda/lib64/" + search.name);
  for (const std::string& directory : PythonDirectories()) {
    const std::string path =
        absl::StrCat(directory, "/", search.wheel_directory, "/", search.name);
    if (Exists(path)) places.push_back(path);
  }
  return places;
}

absl::StatusOr<SharedLibrary> SharedLibrary::Open(
    const SharedLibrarySearch& search) {
  std::vector<std::string> tried;
  for (const std::string& place : SharedLibraryPlaces(search)) {
    void* handle = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return SharedLibrary(place, handle);
    const char* why = dlerror();
    tried.push_back(why == nullptr ? place : why);
  }
  return absl::UnavailableError(absl::StrCat(
      "cannot open ", search.name, "; install it or set ", search.variable,
      " to its path; tried: ", absl::StrJoin(tried, "; ")));
}

absl::StatusOr<void*> SharedLibrary::Symbol(const char* name) const {
  void* symbol = dlsym(handle_, name);
  if (symbol != nullptr) return symbol;
  return absl::UnavailableError(absl::StrCat(
      path_, " lacks ", name, "; a newer version of the library is needed"));
}

}  // namespace longspan
