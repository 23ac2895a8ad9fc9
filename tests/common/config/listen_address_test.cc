#include "common/config/listen_address.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::HasSubstr;

TEST(ListenAddressTest, ParsesAndPrints) {
  for (const char* text :
       {"127.0.0.1:7070", "[::1]:0", "localhost:65535", "0.0.0.0:1"}) {
    const auto address = ParseListenAddress(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_EQ(ParseListenAddress("[::1]:80")->host, "::1");
}

TEST(ListenAddressTest, RefusesWhatIsNotHostAndPort) {
  for (const char* text : {"", "127.0.0.1", ":80", "host:", "host:-1",
                           "host:65536", "::1:80", "host:8x", "[::1]"}) {
    EXPECT_FALSE(ParseListenAddress(text).ok()) << text;
  }
}

TEST(ListenAddressTest, KnowsLoopback) {
  for (const char* host :
       {"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "localhost"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host :
       {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "::ffff:10.0.0.1",
        "localhost.example.com", "127.0.0.1.example.com", "", "127.1"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(ListenAddressTest, OpenAddressesNeedProtection) {
  const ListenAddress open{"0.0.0.0", 7070}, loopback{"127.0.0.1", 7070};
  EXPECT_TRUE(CheckListenAddress(loopback, {}, "--listen").ok());
  EXPECT_TRUE(CheckListenAddress(open, {.has_token = true}, "--listen").ok());
  EXPECT_TRUE(CheckListenAddress(open, {.insecure = true}, "--listen").ok());
  const absl::Status refused = CheckListenAddress(open, {}, "--listen");
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("--listen 0.0.0.0:7070"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--token-file"));
}

}  // namespace
}  // namespace longspan
