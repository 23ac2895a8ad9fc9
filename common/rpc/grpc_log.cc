#include "common/rpc/grpc_log.h"

#include <grpc/support/log.h>
#include <grpcpp/version_info.h>

#include "common/log/log.h"

namespace longspan {

// gRPC 1.65 and newer log through Abseil.
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR < 65

namespace {

LogSeverity SeverityOf(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return LogSeverity::kDebug;
    case GPR_LOG_SEVERITY_INFO:
      return LogSeverity::kInfo;
    case GPR_LOG_SEVERITY_ERROR:
      return LogSeverity::kError;
  }
  return LogSeverity::kError;
}

void LogLine(gpr_log_func_args* line) {
  Log(SeverityOf(line->severity), line->message,
      {{"library", "gRPC"}, {"file", line->file}, {"line", line->line}});
}

}  // namespace

void RouteGrpcLog() { gpr_set_log_function(LogLine); }

#else

void RouteGrpcLog() {}

#endif

}  // namespace longspan
