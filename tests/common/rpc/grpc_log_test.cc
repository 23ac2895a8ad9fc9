#include "common/rpc/grpc_log.h"

#include <grpc/support/log.h>
#include <grpcpp/version_info.h>

#include <string>
#include <vector>

#include "common/log/log.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR < 65
TEST(GrpcLogTest, GoesThroughTheLogOfTheProcess) {
  std::vector<std::string> lines;
  LogOptions options;
  options.format = LogFormat::kJson;
  options.sink = [&](std::string_view line) { lines.emplace_back(line); };
  ConfigureLogging(options);
  RouteGrpcLog();
  gpr_log_verbosity_init();  // as gRPC's first channel or server does
  gpr_log("server.cc", 7, GPR_LOG_SEVERITY_ERROR, "%s", "no \"port\"");
  gpr_log("server.cc", 8, GPR_LOG_SEVERITY_DEBUG, "not asked for");
  ConfigureLogging(LogOptions());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], testing::HasSubstr(
                            "\"message\":\"no \\\"port\\\"\",\"library\":"
                            "\"gRPC\",\"file\":\"server.cc\",\"line\":7}"));
}
#endif

}  // namespace
}  // namespace longspan
