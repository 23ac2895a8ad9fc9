#include "common/metrics/metrics_route.h"

#include "common/metrics/registry_impl.h"
#include "prometheus/text_serializer.h"

namespace longspan {

HttpRoute MetricsRoute(const MetricRegistry& registry) {
  return {
      "/metrics", [impl = registry.impl()](const HttpRequest&) -> HttpResponse {
        return {
            200, "text/plain; version=0.0.4; charset=utf-8",
            prometheus::TextSerializer().Serialize(impl->registry->Collect())};
      }};
}

}  // namespace longspan
