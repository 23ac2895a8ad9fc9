#include "common/metrics/metrics_server.h"

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/metrics/registry_impl.h"
#include "prometheus/exposer.h"

namespace longspan {

struct MetricsServer::Impl {
  // The exposer keeps only a weak pointer to what it collects from.
  std::shared_ptr<prometheus::Registry> registry;
  std::unique_ptr<prometheus::Exposer> exposer;
};

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

MetricsServer::~MetricsServer() = default;

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const ListenAddress& address, const MetricRegistry& registry) {
  auto impl = std::make_unique<Impl>();
  impl->registry = registry.impl()->registry;
  try {
    impl->exposer =
        std::make_unique<prometheus::Exposer>(address.ToString(), 2);
    impl->exposer->RegisterCollectable(impl->registry, "/metrics");
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve metrics at ", address.ToString(), ": ",
                     error.what(), "; is the port in use?"));
  }
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(impl)));
}

int MetricsServer::port() const {
  return impl_->exposer->GetListeningPorts().front();
}

}  // namespace longspan
