#include "common/base/version.h"

namespace longspan {
namespace {
#include "longspan_version.inc"
}  // namespace

const char* Version() { return kVersion; }

const char* BuildStamp() { return kBuild; }

std::string VersionLine(const std::string& program) {
  return program + " " + kVersion + " (" + kBuild + ")";
}

}  // namespace longspan
