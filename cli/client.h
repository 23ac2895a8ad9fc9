// The connection to a coordinator, for commands.
//
// Thread rule: one thread uses a Client; contexts belong to one call.
#pragma once

#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/commands.h"
#include "longspan/v1/job_service.grpc.pb.h"

namespace longspan::cli {

class Client {
 public:
  // Does not wait for the coordinator. An error means that the options are
  // wrong (address, token file).
  static absl::StatusOr<Client> Create(const ClientOptions& options);

  v1::JobService::Stub& stub() const { return *stub_; }

  // For a unary call: with the deadline. The token is the channel's.
  std::unique_ptr<grpc::ClientContext> NewContext() const;

  // For a stream that lives as long as the job: without one.
  std::unique_ptr<grpc::ClientContext> NewStreamContext() const;

  const std::string& address() const { return address_; }

 private:
  Client() = default;

  std::string address_;
  absl::Duration timeout_;
  std::unique_ptr<v1::JobService::Stub> stub_;
};

// "abc" and "tenants/default/jobs/abc" are the same job.
std::string FullJobName(const std::string& job);

}  // namespace longspan::cli
