#include "common/log/log.h"

#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "common/base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace longspan {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override {
    ConfigureLogging(LogOptions());
    ClearLogContext();
  }

  void Capture(LogFormat format, LogSeverity least = LogSeverity::kInfo) {
    LogOptions options;
    options.format = format;
    options.least = least;
    options.component = "test";
    options.sink = [this](std::string_view line) { lines_.emplace_back(line); };
    ConfigureLogging(options);
  }

  std::vector<std::string> lines_;
};

TEST_F(LogTest, TextShowsSeverityTimeMessageAndFields) {
  Capture(LogFormat::kText);
  LogInfo("job accepted",
          {{"job", "j-17"}, {"ranks", 4}, {"note", "two words"}, {"on", true}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_THAT(lines_[0],
              MatchesRegex("I [0-9:.]+ job accepted job=j-17 ranks=4 "
                           "note=\"two words\" on=true"));
}

TEST_F(LogTest, TextStaysOnOneLine) {
  Capture(LogFormat::kText);
  LogWarning("first\nsecond", {{"value", "a\nb"}, {"empty", ""}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_THAT(lines_[0],
              HasSubstr("first\\nsecond value=\"a\\nb\" empty=\"\""));
}

TEST_F(LogTest, JsonKeepsTypesAndEscapes) {
  Capture(LogFormat::kJson);
  LogError("bad \"thing\" 100%",
           {{"path", "a\\b"}, {"loss", 2.5}, {"n", int64_t{-3}}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_THAT(lines_[0], HasSubstr("\"level\":\"error\""));
  EXPECT_THAT(lines_[0], HasSubstr("\"component\":\"test\""));
  EXPECT_THAT(lines_[0],
              HasSubstr("\"message\":\"bad \\\"thing\\\" 100%\","
                        "\"path\":\"a\\\\b\",\"loss\":2.5,\"n\":-3}"));
}

TEST_F(LogTest, JsonParsesWhateverTheMessageHolds) {
  Capture(LogFormat::kJson);
  LogInfo("a\nb\t\"c\" \x01 caf\xc3\xa9 \xff \xe2\x82",
          {{"bytes", std::string("\xc3(\0)", 4)}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_EQ(lines_[0].find('\n'), std::string::npos);
  const auto line = nlohmann::json::parse(lines_[0]);
  EXPECT_EQ(line["message"],
            "a\nb\t\"c\" \x01 caf\xc3\xa9 \xef\xbf\xbd \xef\xbf\xbd");
  EXPECT_EQ(line["bytes"], std::string("\xef\xbf\xbd(\0)", 6));
  EXPECT_THAT(line["time"].get<std::string>(),
              MatchesRegex("[0-9]+-[0-9]+-[0-9]+T[0-9:]+[.][0-9]+Z"));
}

TEST_F(LogTest, JsonCarriesTheContextOfTheProcess) {
  Capture(LogFormat::kJson);
  SetLogContext({"job", "j-17"});
  SetLogContext({"step", 1});
  SetLogContext({"step", 2});
  LogInfo("first");
  LogInfo("second", {{"step", 9}});
  ClearLogContext();
  LogInfo("third");
  EXPECT_THAT(lines_.at(0),
              HasSubstr("\"first\",\"job\":\"j-17\",\"step\":2}"));
  EXPECT_THAT(lines_.at(1),
              HasSubstr("\"second\",\"job\":\"j-17\",\"step\":9}"));
  EXPECT_THAT(lines_.at(2), HasSubstr("\"third\"}"));
}

TEST_F(LogTest, TextLeavesTheContextOut) {
  Capture(LogFormat::kText);
  SetLogContext({"job", "j-17"});
  LogInfo("line");
  EXPECT_THAT(lines_.at(0), MatchesRegex("I [0-9:.]+ line"));
}

TEST(LogDeathTest, FailedChecksAreJsonTooWhereLinesAre) {
  LogOptions options;
  options.format = LogFormat::kJson;
  EXPECT_DEATH(
      {
        ConfigureLogging(options);
        LONGSPAN_CHECK_EQ(1, 2) << "in \"it\"";
      },
      "^\\{.*\"level\":\"error\".*check failed: 1 == 2 \\(1 vs. 2\\) "
      "in .\"it.\"\"\\}");
}

TEST_F(LogTest, JsonQuotesWhatIsNotANumber) {
  Capture(LogFormat::kJson);
  LogInfo("loss", {{"value", std::numeric_limits<double>::infinity()}});
  EXPECT_THAT(lines_.at(0), HasSubstr("\"value\":\"inf\""));
}

TEST_F(LogTest, DropsWhatIsBelowTheLeastSeverity) {
  Capture(LogFormat::kText, LogSeverity::kWarning);
  LogDebug("no");
  LogInfo("no");
  LogWarning("yes");
  LogError("yes");
  EXPECT_EQ(lines_.size(), 2u);
}

TEST_F(LogTest, ThreadsDoNotMixLines) {
  Capture(LogFormat::kText);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 50; ++i) LogInfo("line", {{"thread", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(lines_.size(), 200u);
  for (const std::string& line : lines_) {
    EXPECT_THAT(line, MatchesRegex("I [0-9:.]+ line thread=[0-3] i=[0-9]+"));
  }
}

TEST(LogOptionsTest, ParsesFlags) {
  EXPECT_EQ(*ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_EQ(*ParseLogFormat("text"), LogFormat::kText);
  EXPECT_FALSE(ParseLogFormat("xml").ok());
  EXPECT_EQ(*ParseLogSeverity("warning"), LogSeverity::kWarning);
  EXPECT_FALSE(ParseLogSeverity("loud").ok());
}

}  // namespace
}  // namespace longspan
