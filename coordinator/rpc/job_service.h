// JobService on the callback API: each method authorises, calls its operation
// and converts the status.
#pragma once

#include <memory>

#include "coordinator/rpc/handler.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace longspan::coordinator {

std::unique_ptr<grpc::Service> MakeJobService(RpcContext& context);

}  // namespace longspan::coordinator
