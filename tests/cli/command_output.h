// Whole commands in the test's own process.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/command_line.h"

namespace longspan::cli {

struct CommandOutput {
  int code;
  std::string out;
  std::string err;
};

// `longspan WORDS...`
inline CommandOutput Longspan(std::vector<std::string> words) {
  words.insert(words.begin(), "longspan");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  int code = RunCommandLine(static_cast<int>(argv.size()), argv.data());
  std::string out = testing::internal::GetCapturedStdout();
  return {code, out, testing::internal::GetCapturedStderr()};
}

}  // namespace longspan::cli
