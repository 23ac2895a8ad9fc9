// What `longspan` exits with. The table is part of --help.
#pragma once

namespace longspan::cli {

enum class ExitCode {
  kOk = 0,
  kJobFailed = 1,    // the job that was watched failed
  kUsage = 2,        // bad flags, bad job file, a request that was refused
  kUnreachable = 3,  // no coordinator answers
  kNotFound = 4,     // no such job
  kCancelled = 5,    // the job that was watched was cancelled
  kConflict = 6,     // not in this state: cancelling a finished job, a second
                     // spec under one request id
  kDenied = 7,       // token missing or wrong
  kInternal = 70     // a bug, or a file that cannot be read or written
};

// For --help, one line each.
inline constexpr char kExitCodeHelp[] =
    "Exit codes:\n"
    "  0   success\n"
    "  1   the job failed\n"
    "  2   wrong flags, a mistake in the job file, or a request refused\n"
    "  3   no coordinator answers at --coordinator\n"
    "  4   no such job\n"
    "  5   the job was cancelled\n"
    "  6   not possible in the present state (finished, or already exists)\n"
    "  7   the token is missing or wrong\n"
    "  70  internal error, or a file cannot be read or written\n";

}  // namespace longspan::cli
