#include "worker/collective/nccl_library.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/shared_library.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

template <typename Function>
absl::Status Bind(const SharedLibrary& library, const char* name,
                  Function** function) {
  ASSIGN_OR_RETURN(void* symbol, library.Symbol(name));
  *function = reinterpret_cast<Function*>(symbol);
  return absl::OkStatus();
}

absl::Status BindAll(const SharedLibrary& from, NcclLibrary* to) {
  RETURN_IF_ERROR(Bind(from, "ncclGetUniqueId", &to->get_unique_id));
  RETURN_IF_ERROR(
      Bind(from, "ncclCommInitRankConfig", &to->comm_init_rank_config));
  RETURN_IF_ERROR(
      Bind(from, "ncclCommGetAsyncError", &to->comm_get_async_error));
  RETURN_IF_ERROR(Bind(from, "ncclCommAbort", &to->comm_abort));
  RETURN_IF_ERROR(Bind(from, "ncclCommFinalize", &to->comm_finalize));
  RETURN_IF_ERROR(Bind(from, "ncclCommDestroy", &to->comm_destroy));
  RETURN_IF_ERROR(Bind(from, "ncclAllGather", &to->all_gather));
  RETURN_IF_ERROR(Bind(from, "ncclSend", &to->send));
  RETURN_IF_ERROR(Bind(from, "ncclRecv", &to->recv));
  RETURN_IF_ERROR(Bind(from, "ncclGroupStart", &to->group_start));
  RETURN_IF_ERROR(Bind(from, "ncclGroupEnd", &to->group_end));
  RETURN_IF_ERROR(Bind(from, "ncclGetErrorString", &to->get_error_string));
  return Bind(from, "ncclGetLastError", &to->get_last_error);
}

absl::Status CheckVersion(const SharedLibrary& from, int* version) {
  NcclGetVersionFunction* get_version = nullptr;
  RETURN_IF_ERROR(Bind(from, "ncclGetVersion", &get_version));
  if (get_version(version) != kNcclSuccess) {
    return absl::UnavailableError(from.path() + " does not tell its version");
  }
  if (*version >= kOldestNccl) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(from.path(), " is NCCL ", NcclVersionText(*version),
                   "; at least ", NcclVersionText(kOldestNccl), " is needed"));
}

}  // namespace

absl::StatusOr<NcclLibrary> OpenNccl() {
  ASSIGN_OR_RETURN(const SharedLibrary opened,
                   SharedLibrary::Open({.variable = "LONGSPAN_NCCL_LIBRARY",
                                        .name = "libnccl.so.2",
                                        .wheel_directory = "nvidia/nccl/lib"}));
  NcclLibrary library;
  library.path = opened.path();
  RETURN_IF_ERROR(CheckVersion(opened, &library.version));
  RETURN_IF_ERROR(BindAll(opened, &library));
  return library;
}

absl::StatusOr<const NcclLibrary*> LoadNccl() {
  static Mutex mu;
  static const NcclLibrary* loaded = nullptr;
  MutexLock lock(mu);
  if (loaded == nullptr) {
    ASSIGN_OR_RETURN(NcclLibrary library, OpenNccl());
    loaded = new NcclLibrary(std::move(library));
  }
  return loaded;
}

std::string NcclVersionText(int version) {
  return absl::StrCat(version / 10000, ".", version / 100 % 100, ".",
                      version % 100);
}

absl::Status NcclStatus(const NcclLibrary& library, NcclResult result,
                        NcclComm comm, const std::string& what) {
  if (result == kNcclSuccess) return absl::OkStatus();
  std::string text =
      absl::StrCat(what, ": NCCL: ", library.get_error_string(result));
  const char* last_words = library.get_last_error(comm);
  if (last_words != nullptr && *last_words != '\0') {
    absl::StrAppend(&text, ": ", last_words);
  }
  const bool lost = result == kNcclRemoteError || result == kNcclSystemError;
  return lost ? absl::UnavailableError(text) : absl::InternalError(text);
}

}  // namespace longspan::worker
