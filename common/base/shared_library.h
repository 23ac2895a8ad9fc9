// Libraries of the machine that a program can do without: opened on first use,
// from a search path that error messages spell out.
//
// The places, in this order:
//   1. the file that the environment variable `variable` names. If it is set,
//      nothing else is tried;
//   2. `name` by the dynamic loader (LD_LIBRARY_PATH, RPATH, ldconfig);
//   3. the toolkit: $CUDA_HOME/lib64, $CUDA_PATH/lib64 and
//      /usr/local/cuda/lib64;
//   4. NVIDIA's Python wheels, such as the ones beside PyTorch:
//      `wheel_directory` beneath lib/python3*/{site,dist}-packages of
//      $VIRTUAL_ENV, $CONDA_PREFIX, /usr/local, /usr, /opt/venv and
//      /opt/conda, and beneath every directory of $PYTHONPATH.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace longspan {

struct SharedLibrarySearch {
  std::string variable;         // "LONGSPAN_NCCL_LIBRARY"
  std::string name;             // "libnccl.so.2"
  std::string wheel_directory;  // "nvidia/nccl/lib"
};

// Never closed: such libraries own threads.
class SharedLibrary {
 public:
  // kUnavailable names the library and everything that was tried.
  static absl::StatusOr<SharedLibrary> Open(const SharedLibrarySearch& search);

  // As it was opened: a path, or the bare name for the loader's own choice.
  const std::string& path() const { return path_; }

  // kUnavailable names the library and the symbol it lacks.
  absl::StatusOr<void*> Symbol(const char* name) const;

 private:
  SharedLibrary(std::string path, void* handle)
      : path_(std::move(path)), handle_(handle) {}

  std::string path_;
  void* handle_;
};

// The places of the list above, for this environment.
std::vector<std::string> SharedLibraryPlaces(const SharedLibrarySearch& search);

}  // namespace longspan
