// What gRPC itself has to say goes through this process's log. Of gRPC 1.65 and
// newer it stays text on stderr: they log through Abseil's own library, which
// Debian's Abseil does not have.
#pragma once

namespace longspan {

// From now on. Call it from main, after ConfigureLogging.
void RouteGrpcLog();

}  // namespace longspan
