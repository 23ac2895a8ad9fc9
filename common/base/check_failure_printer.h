// Who prints the sentence of a failed LONGSPAN_CHECK (check.h), for programs
// that log otherwise than in lines of text.
#pragma once

#include <string>

namespace longspan {

using CheckFailurePrinter = void (*)(const std::string& message);

// Prints failures from now on, instead of the line on stderr; null: that line
// again. Called by the thread that failed, which aborts when it returns.
void SetCheckFailurePrinter(CheckFailurePrinter printer);

}  // namespace longspan
