#include "common/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "common/base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::HasSubstr;

std::string HttpGet(int port, const std::string& path) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    return "cannot connect";
  }
  const std::string request =
      "GET " + path + " HTTP/1.0\r\nHost: localhost\r\n\r\n";
  if (write(fd.get(), request.data(), request.size()) < 0) return "no write";
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = read(fd.get(), buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(n));
  }
  return answer;
}

TEST(MetricsServerTest, ServesTheRegistry) {
  MetricRegistry metrics;
  metrics.GetCounter(MetricId::kSteps, {"j1"}).Increment();
  const auto server = MetricsServer::Start({"127.0.0.1", 0}, metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_GT((*server)->port(), 0);
  const std::string answer = HttpGet((*server)->port(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, HasSubstr("longspan_steps_total{job_id=\"j1\"} 1"));
  EXPECT_THAT(HttpGet((*server)->port(), "/other"), HasSubstr("404"));
}

TEST(MetricsServerTest, PortInUseIsAnError) {
  MetricRegistry metrics;
  const auto first = MetricsServer::Start({"127.0.0.1", 0}, metrics);
  ASSERT_TRUE(first.ok());
  const auto second =
      MetricsServer::Start({"127.0.0.1", (*first)->port()}, metrics);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace longspan
