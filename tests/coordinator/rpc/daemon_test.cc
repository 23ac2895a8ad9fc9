// Starting, refusing to start, stopping; the flags.
#include <fstream>

#include "coordinator/daemon/flags.h"
#include "tests/coordinator/rpc/test_daemon.h"

namespace longspan::testing {
namespace {

using coordinator::Coordinator;
using coordinator::ParseCoordinatorFlags;
using coordinator::ParsedFlags;

class DaemonTest : public TestDaemon {};

ParsedFlags Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "longspan-coordinator");
  return ParseCoordinatorFlags(static_cast<int>(arguments.size()),
                               arguments.data());
}

TEST_F(DaemonTest, OneCoordinatorPerStateDirectory) {
  Start();
  coordinator::CoordinatorOptions second = options_;
  second.listen.port = 0;
  const absl::Status status = Coordinator::Start(second).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("another coordinator"), std::string::npos);
}

TEST_F(DaemonTest, OneCoordinatorPerPort) {
  Start();
  coordinator::CoordinatorOptions second = options_;
  second.state_dir = directory_ + "/other";
  EXPECT_EQ(Coordinator::Start(second).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(DaemonTest, OpenAddressesNeedATokenOrTheWord) {
  options_.listen = {"0.0.0.0", 0};
  EXPECT_EQ(Coordinator::Start(options_).status().code(),
            absl::StatusCode::kFailedPrecondition);
  options_.listen = {"127.0.0.1", 0};
  options_.metrics_listen = {"0.0.0.0", 0};
  EXPECT_EQ(Coordinator::Start(options_).status().code(),
            absl::StatusCode::kFailedPrecondition);
  options_.insecure = true;
  EXPECT_TRUE(Coordinator::Start(options_).ok());
}

TEST_F(DaemonTest, StateIsPrivate) {
  Start();
  EXPECT_EQ(std::filesystem::status(options_.state_dir).permissions(),
            std::filesystem::perms::owner_all);
}

TEST(FlagsTest, DefaultsAndValues) {
  const ParsedFlags plain = Parse({});
  ASSERT_FALSE(plain.exit) << plain.message;
  EXPECT_EQ(plain.flags.options.listen.ToString(), "127.0.0.1:7600");
  EXPECT_FALSE(plain.flags.options.state_dir.empty());
  const ParsedFlags given =
      Parse({"--listen", "127.0.0.1:0", "--state-dir", "/tmp/x", "--lease",
             "3s", "--replacement-timeout", "1m", "--address-file", "/tmp/a"});
  ASSERT_FALSE(given.exit) << given.message;
  EXPECT_EQ(given.flags.options.core.leases.lease, absl::Seconds(3));
  EXPECT_EQ(given.flags.options.core.gang.replacement, absl::Minutes(1));
  EXPECT_EQ(given.flags.address_file, "/tmp/a");
}

TEST(FlagsTest, HelpAndVersionSucceed) {
  EXPECT_EQ(Parse({"--help"}).code, 0);
  EXPECT_NE(Parse({"--help"}).message.find("--detached-timeout"),
            std::string::npos);
  EXPECT_EQ(Parse({"--version"}).code, 0);
  EXPECT_NE(Parse({"--version"}).message.find("longspan-coordinator"),
            std::string::npos);
}

TEST(FlagsTest, MistakesAreUsageErrors) {
  for (const std::vector<const char*>& arguments :
       {std::vector<const char*>{"--lisen", "x"},
        std::vector<const char*>{"--listen", "nowhere"},
        std::vector<const char*>{"--lease", "0"},
        std::vector<const char*>{"--lease", "5"},
        std::vector<const char*>{"--token-file", "/does/not/exist"}}) {
    const ParsedFlags parsed = Parse(arguments);
    EXPECT_TRUE(parsed.exit);
    EXPECT_EQ(parsed.code, 2) << arguments[0];
    EXPECT_FALSE(parsed.message.empty());
  }
}

}  // namespace
}  // namespace longspan::testing
