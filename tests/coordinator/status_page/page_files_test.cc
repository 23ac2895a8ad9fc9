#include "coordinator/status_page/page_files.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>

namespace longspan::coordinator {
namespace {

TEST(PageFilesTest, EveryFileThatAFileNamesIsThere) {
  std::set<std::string> names;
  for (const PageFile& file : PageFiles()) {
    names.insert(std::string(file.name));
  }
  ASSERT_TRUE(names.count("index.html"));
  const std::regex reference(R"re((?:from '\./|"/page/)([\w.]+))re");
  for (const PageFile& file : PageFiles()) {
    const std::string content(file.content);
    for (std::sregex_iterator it(content.begin(), content.end(), reference);
         it != std::sregex_iterator(); ++it) {
      EXPECT_TRUE(names.count((*it)[1])) << file.name << ": " << (*it)[1];
    }
  }
}

// The policy of the server allows nothing else.
TEST(PageFilesTest, NothingComesFromElsewhereOrFromText) {
  const std::regex foreign(
      R"re(https?://(?!www\.w3\.org/2000/svg)|innerHTML|outerHTML|)re"
      R"re(insertAdjacentHTML|document\.write|\beval\(| style=)re");
  for (const PageFile& file : PageFiles()) {
    const std::string content(file.content);
    std::smatch found;
    EXPECT_FALSE(std::regex_search(content, found, foreign))
        << file.name << ": " << found.str();
  }
}

}  // namespace
}  // namespace longspan::coordinator
