// Tables on a terminal: columns as wide as their widest cell.
#pragma once

#include <string>
#include <vector>

namespace longspan::cli {

struct TableColumn {
  std::string title;
  bool right = false;  // numbers
};

// A title line and one line per row, two spaces between columns, no spaces at
// the ends of lines. Rows may be shorter than the columns.
std::string FormatTable(const std::vector<TableColumn>& columns,
                        const std::vector<std::vector<std::string>>& rows);

}  // namespace longspan::cli
