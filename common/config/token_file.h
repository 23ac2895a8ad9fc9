// The shared secret of --token-file.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace longspan {

// The first line of the file, without spaces around it. Refused: a token of
// fewer than 16 characters, characters that do not fit in an HTTP header, a
// file that every user of the machine may read (chmod 600 mends it). The
// token never appears in an error.
absl::StatusOr<std::string> ReadTokenFile(const std::string& path);

// Compares in a time that does not depend on where the tokens differ.
bool TokensEqual(const std::string& a, const std::string& b);

}  // namespace longspan
