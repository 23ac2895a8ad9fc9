#include "common/base/status_macros.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/job_operations.h"
#include "coordinator/ops/job_to_wire.h"
#include "coordinator/ops/page.h"

namespace longspan::coordinator {

absl::StatusOr<v1::ListWorkersResponse> ListWorkers(
    Core& core, const v1::ListWorkersRequest& request) {
  ASSIGN_OR_RETURN(const int page_size, PageSize(request.page_size()));
  ASSIGN_OR_RETURN(PageCursor cursor,
                   DecodePage(request.page_token(), "workers"));
  MutexLock lock(core.mu);
  v1::ListWorkersResponse response;
  const auto& workers = core.workers.workers();
  for (auto it = workers.upper_bound(cursor.position); it != workers.end();
       ++it) {
    if (response.workers_size() == page_size) {
      response.set_next_page_token(EncodePage(cursor, "workers"));
      break;
    }
    *response.add_workers() = WorkerToWire(it->second);
    cursor.position = it->first;
  }
  return response;
}

}  // namespace longspan::coordinator
