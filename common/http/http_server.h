// A small HTTP server for what people and Prometheus read: GET and HEAD of
// fixed routes, no bodies, no state, threads of its own.
//
// Every answer forbids a browser to guess its type, to frame it, to keep it,
// and to load or run anything from elsewhere (Content-Security-Policy). A
// server on loopback answers only requests that were sent to an address or to
// localhost: a web page that points its own name at 127.0.0.1 reads nothing.
//
// Whether the address may be open to the network is the caller's check
// (CheckListenAddress).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/listen_address.h"

namespace longspan {

struct HttpRequest {
  // The decoded pairs of the query, in the order of the request.
  std::vector<std::pair<std::string, std::string>> query;

  // The first value of that name; "" if there is none.
  std::string Value(std::string_view name) const;
  std::vector<std::string> Values(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Called by several threads at once.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

struct HttpRoute {
  std::string path;  // the whole path: "/metrics"
  HttpHandler handler;
};

class HttpServer {
 public:
  // Port 0 lets the system choose. Unavailable if the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      const ListenAddress& address, std::vector<HttpRoute> routes);

  // Stops answering and joins its threads.
  ~HttpServer();

  int port() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace longspan
