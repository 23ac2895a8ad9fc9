#include "worker/executor/open_text.h"

#include <utility>

#include "common/base/status_macros.h"
#include "longspan/v1/job.pb.h"

namespace longspan::worker {

absl::StatusOr<std::unique_ptr<TokenSource>> OpenText(
    const Roots& roots, const v1::DataSpec& data) {
  ASSIGN_OR_RETURN(UniqueFd file, OpenRootUri(roots, data.uri()));
  return TokenSource::Open(std::move(file), data.uri(),
                           {.begin = data.begin(), .end = data.end()});
}

}  // namespace longspan::worker
