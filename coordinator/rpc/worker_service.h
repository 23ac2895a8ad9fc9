// WorkerService on the callback API: one stream a worker daemon. Messages go
// to coordinator/ops; what the core sends is queued and written one by one.
#pragma once

#include <memory>

#include "coordinator/rpc/handler.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace longspan::coordinator {

std::unique_ptr<grpc::Service> MakeWorkerService(RpcContext& context);

}  // namespace longspan::coordinator
