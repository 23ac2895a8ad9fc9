// A registry at /metrics of an HTTP server, in the Prometheus text format.
#pragma once

#include "common/http/http_server.h"
#include "common/metrics/metric_registry.h"

namespace longspan {

// Keeps what it needs of the registry alive.
HttpRoute MetricsRoute(const MetricRegistry& registry);

}  // namespace longspan
