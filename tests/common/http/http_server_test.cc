#include "common/http/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "common/base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// What the server answers to these bytes.
std::string Exchange(int port, const std::string& request) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    return "cannot connect";
  }
  if (write(fd.get(), request.data(), request.size()) < 0) return "no write";
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = read(fd.get(), buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(n));
  }
  return answer;
}

// One server for all: it takes its time to stop.
class HttpServerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = HttpServer::Start(
        {"127.0.0.1", 0},
        {{"/hello", [](const HttpRequest& request) -> HttpResponse {
            return {200, "text/plain; charset=utf-8",
                    "hello " + request.Value("name")};
          }}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  static void TearDownTestSuite() { server_.reset(); }

  std::string Ask(const std::string& method, const std::string& path,
                  const std::string& host = "localhost") {
    return Exchange(server_->port(), method + " " + path +
                                         " HTTP/1.1\r\nHost: " + host +
                                         "\r\nContent-Length: 0\r\n\r\n");
  }

  static inline std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, ServesItsRoutesAndNothingElse) {
  ASSERT_GT(server_->port(), 0);
  EXPECT_THAT(Ask("GET", "/hello?x=1&name=a%20b%26c+d"),
              AllOf(StartsWith("HTTP/1.1 200 OK"), EndsWith("hello a b&c d")));
  for (const char* path : {"/", "/hello/", "/other", "/../etc/passwd"}) {
    EXPECT_THAT(Ask("GET", path), StartsWith("HTTP/1.1 404 Not Found")) << path;
  }
}

TEST_F(HttpServerTest, HeadHasNoBody) {
  EXPECT_THAT(Ask("HEAD", "/hello?name=x"),
              AllOf(HasSubstr("Content-Length: 7\r\n"), EndsWith("\r\n\r\n")));
}

TEST_F(HttpServerTest, NothingCanBeWritten) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH"}) {
    EXPECT_THAT(Ask(method, "/hello"), AllOf(StartsWith("HTTP/1.1 405"),
                                             HasSubstr("Allow: GET, HEAD\r\n")))
        << method;
  }
}

TEST_F(HttpServerTest, BrowsersAreToldToTrustNothing) {
  for (const char* path : {"/hello", "/other"}) {
    EXPECT_THAT(Ask("GET", path),
                AllOf(HasSubstr("Content-Security-Policy: default-src 'none'"),
                      HasSubstr("frame-ancestors 'none'"),
                      HasSubstr("X-Content-Type-Options: nosniff"),
                      HasSubstr("Cross-Origin-Resource-Policy: same-origin"),
                      HasSubstr("Cache-Control: no-store"),
                      Not(HasSubstr("Access-Control-Allow-Origin"))));
  }
}

TEST_F(HttpServerTest, OnLoopbackAForeignNameIsNotServed) {
  for (const char* host :
       {"127.0.0.1", "127.0.0.1:7601", "localhost:80", "[::1]:7601"}) {
    EXPECT_THAT(Ask("GET", "/hello", host), StartsWith("HTTP/1.1 200")) << host;
  }
  for (const char* host : {"evil.example", "evil.example:7601", "10.0.0.1"}) {
    EXPECT_THAT(Ask("GET", "/hello", host), StartsWith("HTTP/1.1 421")) << host;
  }
  EXPECT_THAT(Exchange(server_->port(), "GET /hello HTTP/1.0\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, PortInUseIsAnError) {
  EXPECT_EQ(
      HttpServer::Start({"127.0.0.1", server_->port()}, {}).status().code(),
      absl::StatusCode::kUnavailable);
}

TEST(HttpRequestTest, ValuesMayRepeat) {
  const HttpRequest request = {{{"a", "1"}, {"b", "2"}, {"a", "3"}}};
  EXPECT_EQ(request.Value("a"), "1");
  EXPECT_EQ(request.Value("c"), "");
  EXPECT_THAT(request.Values("a"), ::testing::ElementsAre("1", "3"));
}

}  // namespace
}  // namespace longspan
