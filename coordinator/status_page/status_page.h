// The coordinator's status page: one page at / for people without dashboards,
// and under /status/v1 the JSON that it is drawn from (docs/formats/status.md).
// It reads, and changes nothing.
//
//   /                    the page; its scripts and style are /page/NAME
//   /status/v1/summary   jobs by state, workers, slots, tokens/s
//   /status/v1/jobs      ?state=RUNNING&page_size=50&page_token=...
//   /status/v1/job       ?name=tenants/default/jobs/...
//   /status/v1/plan      ?name=...: token ranges and bytes of every rank
//   /status/v1/workers   ?page_size=200&page_token=...
#pragma once

#include <vector>

#include "common/http/http_server.h"

namespace longspan::coordinator {

class Core;
class ProgressHistory;

// For the server that has /metrics. What is given outlives the server.
std::vector<HttpRoute> StatusPageRoutes(Core& core,
                                        const ProgressHistory& history);

}  // namespace longspan::coordinator
