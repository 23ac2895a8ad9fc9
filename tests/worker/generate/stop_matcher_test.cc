#include "worker/generate/stop_matcher.h"

#include <gtest/gtest.h>

#include <string>

namespace longspan::worker {
namespace {

GeneratedToken Token(std::string text) { return {.id = 1, .text = text}; }

std::string Text(const std::vector<GeneratedToken>& tokens) {
  std::string text;
  for (const GeneratedToken& token : tokens) text += token.text;
  return text;
}

// Feeds bytes until the end or a stop; returns what came out.
std::string Feed(StopMatcher& matcher, const std::string& bytes) {
  std::string out;
  for (char byte : bytes) {
    out += Text(matcher.Push(Token(std::string(1, byte))));
    if (matcher.stopped()) return out;
  }
  return out + Text(matcher.Finish());
}

TEST(StopMatcherTest, WithoutStopsEverythingComesOutAtOnce) {
  StopMatcher matcher({""});
  EXPECT_EQ(Text(matcher.Push(Token("a"))), "a");
  EXPECT_EQ(Text(matcher.Push(Token("b"))), "b");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcherTest, EndsBeforeTheStopString) {
  StopMatcher matcher({"\n\n"});
  EXPECT_EQ(Feed(matcher, "one\ntwo\n\nthree"), "one\ntwo");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcherTest, HoldsBackWhatMayBecomeAStop) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(Text(matcher.Push(Token("x"))), "x");
  EXPECT_EQ(Text(matcher.Push(Token("E"))), "");
  EXPECT_EQ(Text(matcher.Push(Token("N"))), "");
  EXPECT_EQ(Text(matcher.Push(Token("E"))), "EN");
  EXPECT_EQ(Text(matcher.Push(Token("y"))), "Ey");
}

TEST(StopMatcherTest, FindsAStopThatBeginsInsideAFailedMatch) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(Feed(matcher, "aaab"), "a");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcherTest, TheEarliestOfSeveralStopsWins) {
  StopMatcher matcher({"cd", "bc"});
  EXPECT_EQ(Feed(matcher, "abcd"), "a");
}

TEST(StopMatcherTest, FinishReleasesAPartialMatch) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(Feed(matcher, "go STO"), "go STO");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcherTest, CutsATokenThatReachesIntoTheStop) {
  StopMatcher matcher({". "});
  EXPECT_EQ(Text(matcher.Push(Token("The "))), "The ");
  EXPECT_EQ(Text(matcher.Push(Token("end. No"))), "end");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcherTest, WorksOnBytesOfIncompleteCharacters) {
  StopMatcher matcher({"\xc3\xa9"});  // e with acute
  EXPECT_EQ(Feed(matcher, "caf\xc3\xa8\xc3\xa9!"), "caf\xc3\xa8");
  EXPECT_TRUE(matcher.stopped());
}

}  // namespace
}  // namespace longspan::worker
