#include "tests/support/golden.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "gtest/gtest.h"

namespace longspan {

Golden ReadGolden(const std::string& name) {
  const char* root = std::getenv("LONGSPAN_SOURCE_DIR");
  const std::string path = std::string(root == nullptr ? "." : root) +
                           "/tests/golden/" + name + ".txt";
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  Golden golden;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string tensor;
    words >> tensor;
    for (double x = 0.0; words >> x;) golden[tensor].push_back(x);
  }
  return golden;
}

}  // namespace longspan
