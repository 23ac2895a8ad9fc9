// The files of the page, built into the program from page/.
#pragma once

#include <string_view>
#include <vector>

namespace longspan::coordinator {

struct PageFile {
  std::string_view name;  // "main.js"
  std::string_view content;
};

const std::vector<PageFile>& PageFiles();

// By the ending of the name. Aborts for a kind of file that a page has not.
const char* ContentTypeOf(std::string_view file_name);

}  // namespace longspan::coordinator
