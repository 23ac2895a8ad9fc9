#include "cli/format_table.h"

#include <algorithm>

namespace longspan::cli {
namespace {

void AppendCell(const std::string& cell, size_t width, bool right,
                std::string* line) {
  std::string padding(width - std::min(width, cell.size()), ' ');
  *line += right ? padding + cell : cell + padding;
}

void AppendLine(const std::vector<TableColumn>& columns,
                const std::vector<size_t>& widths,
                const std::vector<std::string>& cells, std::string* out) {
  std::string line;
  for (size_t i = 0; i < columns.size() && i < cells.size(); ++i) {
    if (i > 0) line += "  ";
    AppendCell(cells[i], widths[i], columns[i].right, &line);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  *out += line + "\n";
}

}  // namespace

std::string FormatTable(const std::vector<TableColumn>& columns,
                        const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::string> titles;
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns.size(); ++i) {
    titles.push_back(columns[i].title);
    widths.push_back(columns[i].title.size());
    for (const auto& row : rows) {
      if (i < row.size()) widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string out;
  AppendLine(columns, widths, titles, &out);
  for (const auto& row : rows) AppendLine(columns, widths, row, &out);
  return out;
}

}  // namespace longspan::cli
