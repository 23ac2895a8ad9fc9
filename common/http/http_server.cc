#include "common/http/http_server.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "civetweb.h"
#include "common/base/check.h"

namespace longspan {
namespace {

// More than a browser's idle connections, of which each holds a thread until
// the time is over.
constexpr char kThreads[] = "10";
constexpr char kRequestTimeoutMs[] = "5000";

constexpr char kSecurityHeaders[] =
    "Content-Security-Policy: default-src 'none'; connect-src 'self'; "
    "img-src 'self'; script-src 'self'; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Cache-Control: no-store\r\n";

HttpResponse Refusal(int status, std::string sentence) {
  return {status, "text/plain; charset=utf-8", std::move(sentence) + "\n"};
}

std::string Decode(std::string_view text) {
  std::string decoded(text.size() + 1, '\0');
  const int size = mg_url_decode(
      text.data(), static_cast<int>(text.size()), decoded.data(),
      static_cast<int>(decoded.size()), /*is_form_url_encoded=*/1);
  decoded.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return decoded;
}

HttpRequest ParseQuery(const char* query) {
  HttpRequest request;
  if (query == nullptr) return request;
  const std::vector<std::string> parts =
      absl::StrSplit(query, '&', absl::SkipEmpty());
  for (const std::string& part : parts) {
    const std::vector<std::string> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    request.query.emplace_back(Decode(pair[0]),
                               pair.size() > 1 ? Decode(pair[1]) : "");
  }
  return request;
}

// "127.0.0.1:7601" -> "127.0.0.1", "[::1]:7601" -> "::1".
std::string HostOf(std::string_view header) {
  if (header.substr(0, 1) == "[") {
    return std::string(header.substr(1, header.find(']') - 1));
  }
  return std::string(header.substr(0, header.find(':')));
}

// The names of a loopback server; a request of HTTP/1.0 may carry none.
bool IsHostOfLoopback(const char* header) {
  if (header == nullptr) return true;
  return IsLoopback(HostOf(header));
}

const char* ReasonPhrase(int status) {
  static const std::map<int, const char*> phrases = {
      {200, "OK"},        {400, "Bad Request"},
      {404, "Not Found"}, {405, "Method Not Allowed"},
      {410, "Gone"},      {421, "Misdirected Request"}};
  const auto found = phrases.find(status);
  LONGSPAN_CHECK(found != phrases.end()) << status;
  return found->second;
}

void Write(mg_connection* connection, const HttpResponse& response,
           bool with_body) {
  std::string bytes = absl::StrCat(
      "HTTP/1.1 ", response.status, " ", ReasonPhrase(response.status),
      "\r\nContent-Type: ", response.content_type,
      "\r\nContent-Length: ", response.body.size(), "\r\nConnection: close\r\n",
      response.status == 405 ? "Allow: GET, HEAD\r\n" : "", kSecurityHeaders,
      "\r\n");
  if (with_body) bytes += response.body;
  (void)mg_write(connection, bytes.data(), bytes.size());
}

}  // namespace

std::string HttpRequest::Value(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return "";
}

std::vector<std::string> HttpRequest::Values(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : query) {
    if (key == name) values.push_back(value);
  }
  return values;
}

struct HttpServer::Impl {
  std::map<std::string, HttpHandler> routes;
  bool loopback = true;
  mg_context* context = nullptr;

  ~Impl() {
    if (context != nullptr) mg_stop(context);
  }

  HttpResponse Answer(mg_connection* connection,
                      const mg_request_info& info) const {
    const std::string method = info.request_method;
    if (method != "GET" && method != "HEAD") {
      return Refusal(405, method +
                              " is not served here: nothing can be "
                              "changed over HTTP");
    }
    const char* host = mg_get_header(connection, "Host");
    if (loopback && !IsHostOfLoopback(host)) {
      return Refusal(421,
                     "this address serves localhost only, not the name that "
                     "was asked for");
    }
    const auto route = routes.find(info.local_uri);
    if (route == routes.end()) return Refusal(404, "there is no such page");
    return route->second(ParseQuery(info.query_string));
  }

  static int Handle(mg_connection* connection, void* self) {
    const mg_request_info& info = *mg_get_request_info(connection);
    const HttpResponse response =
        static_cast<const Impl*>(self)->Answer(connection, info);
    Write(connection, response, info.request_method != std::string("HEAD"));
    return response.status;
  }
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    const ListenAddress& address, std::vector<HttpRoute> routes) {
  auto impl = std::make_unique<Impl>();
  impl->loopback = IsLoopback(address.host);
  for (HttpRoute& route : routes) {
    impl->routes[std::move(route.path)] = std::move(route.handler);
  }
  const std::string listen = address.ToString();
  const char* options[] = {
      "listening_ports",    listen.c_str(),    "num_threads", kThreads,
      "request_timeout_ms", kRequestTimeoutMs, nullptr};
  mg_callbacks callbacks = {};
  impl->context = mg_start(&callbacks, nullptr, options);
  if (impl->context == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve HTTP at ", listen, "; is the port in use?"));
  }
  mg_set_request_handler(impl->context, "**", &Impl::Handle, impl.get());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

int HttpServer::port() const {
  mg_server_port port = {};
  LONGSPAN_CHECK_EQ(mg_get_server_ports(impl_->context, 1, &port), 1);
  return port.port;
}

}  // namespace longspan
