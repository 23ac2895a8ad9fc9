// What this build is; shown by --version and recorded in checkpoints.
#pragma once

#include <string>

namespace longspan {

// Semantic version, "0.1.0".
const char* Version();

// `git describe` of the source, or "unstamped" in development builds.
const char* BuildStamp();

// "longspan-worker 0.1.0 (v0.1.0-3-gabcdef)".
std::string VersionLine(const std::string& program);

}  // namespace longspan
