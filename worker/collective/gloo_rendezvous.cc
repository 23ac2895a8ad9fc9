#include "worker/collective/gloo_rendezvous.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gloo/rendezvous/context.h"
#include "gloo/rendezvous/store.h"
#include "gloo/transport/tcp/device.h"
#include "worker/collective/gloo_status.h"

namespace longspan::worker {
namespace {

using Milliseconds = std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// Errors of the store travel through Gloo as exceptions; `error` keeps the
// original.
class StoreAdapter : public gloo::rendezvous::Store {
 public:
  StoreAdapter(RendezvousStore* store, std::string prefix,
               SteadyClock::time_point deadline)
      : store_(store), prefix_(std::move(prefix)), deadline_(deadline) {}

  void set(const std::string& key, const std::vector<char>& data) override {
    ThrowIfError(store_->Set(PathOf(key), {data.begin(), data.end()}));
  }

  std::vector<char> get(const std::string& key) override {
    absl::StatusOr<std::string> value =
        store_->Get(PathOf(key), RemainingTime());
    ThrowIfError(value.status());
    return {value->begin(), value->end()};
  }

  void wait(const std::vector<std::string>& keys) override {
    for (const std::string& key : keys) get(key);
  }

  // Gloo's own timeouts do not know our deadline.
  void wait(const std::vector<std::string>& keys,
            const Milliseconds& /*timeout*/) override {
    wait(keys);
  }

#ifdef GLOO_STORE_HAS_STORE_V2
  bool has_v2_support() override { return false; }
  std::vector<std::vector<char>> multi_get(
      const std::vector<std::string>& keys) override {
    std::vector<std::vector<char>> values;
    for (const std::string& key : keys) values.push_back(get(key));
    return values;
  }
  void multi_set(const std::vector<std::string>& keys,
                 const std::vector<std::vector<char>>& values) override {
    for (size_t i = 0; i < keys.size(); ++i) set(keys[i], values[i]);
  }
  void append(const std::string&, const std::vector<char>&) override {
    throw std::logic_error("rendezvous values are written once");
  }
  int64_t add(const std::string&, int64_t) override {
    throw std::logic_error("rendezvous values are written once");
  }
#endif

  const absl::Status& error() const { return error_; }

 private:
  std::string PathOf(const std::string& key) const {
    return absl::StrCat(prefix_, "/", key);
  }
  absl::Duration RemainingTime() const {
    return absl::FromChrono(deadline_ - SteadyClock::now());
  }
  void ThrowIfError(const absl::Status& status) {
    if (status.ok()) return;
    error_ = status;
    throw std::runtime_error(std::string(status.message()));
  }

  RendezvousStore* const store_;
  const std::string prefix_;
  const SteadyClock::time_point deadline_;
  absl::Status error_;
};

std::shared_ptr<gloo::Context> ConnectOrThrow(
    const GlooGroupOptions& options, std::shared_ptr<StoreAdapter> store,
    Milliseconds timeout) {
  gloo::transport::tcp::attr address(options.listen_address.c_str());
  std::shared_ptr<gloo::transport::Device> device =
      gloo::transport::tcp::CreateDevice(address);
  auto context =
      std::make_shared<gloo::rendezvous::Context>(options.rank, options.size);
  // A pair waits five times this long for its peer to connect.
  context->setTimeout(std::max(timeout / 5, Milliseconds(1)));
#ifdef GLOO_STORE_HAS_STORE_V2
  context->connectFullMesh(store, device);
#else
  context->connectFullMesh(*store, device);
#endif
  return context;
}

}  // namespace

absl::StatusOr<std::shared_ptr<gloo::Context>> ConnectGloo(
    const GlooGroupOptions& options, RendezvousStore& store,
    absl::Duration timeout) {
  const auto milliseconds = Milliseconds(absl::ToInt64Milliseconds(timeout));
  auto adapter = std::make_shared<StoreAdapter>(
      &store, options.key_prefix, SteadyClock::now() + milliseconds);
  const std::string what =
      absl::StrCat("rank ", options.rank, " of ", options.size,
                   ": connecting from ", options.listen_address);
  std::shared_ptr<gloo::Context> context;
  absl::Status status = CatchGloo(
      what, [&] { context = ConnectOrThrow(options, adapter, milliseconds); });
  if (!adapter->error().ok()) {
    return absl::Status(
        adapter->error().code(),
        absl::StrCat(what, ": ", std::string(adapter->error().message())));
  }
  if (!status.ok()) return status;
  return context;
}

}  // namespace longspan::worker
