// A job file, read and checked on this side before it is sent: mistakes are
// shown even where no coordinator answers.
#pragma once

#include <string>

#include "cli/exit_code.h"

namespace longspan::v1 {
class JobSpecText;
}  // namespace longspan::v1

namespace longspan::cli {

// kOk, or what was printed to stderr: every mistake with its line.
ExitCode LoadJobFile(const std::string& file, v1::JobSpecText* text);

}  // namespace longspan::cli
