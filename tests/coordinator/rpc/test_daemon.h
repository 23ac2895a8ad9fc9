// A whole coordinator on a loopback port, with its state in a temporary
// directory.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "common/rpc/channel.h"
#include "coordinator/daemon/coordinator.h"
#include "longspan/v1/job_service.grpc.pb.h"
#include "longspan/v1/worker_service.grpc.pb.h"

namespace longspan::testing {

class TestDaemon : public ::testing::Test {
 protected:
  TestDaemon() {
    directory_ =
        (std::filesystem::temp_directory_path() / "longspan-XXXXXX").string();
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    options_.listen = {"127.0.0.1", 0};
    options_.state_dir = directory_ + "/state";
  }

  ~TestDaemon() override {
    daemon_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Start() {
    auto daemon = coordinator::Coordinator::Start(options_);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    // The next start must find the same port.
    options_.listen.port =
        std::stoi(daemon_->address().substr(daemon_->address().find(':') + 1));
  }

  std::shared_ptr<grpc::Channel> Channel(const std::string& token = "") {
    ChannelOptions options;
    options.token = token;
    return CreateChannel(daemon_->address(), options);
  }

  std::unique_ptr<v1::JobService::Stub> Jobs(const std::string& token = "") {
    return v1::JobService::NewStub(Channel(token));
  }

  std::string directory_;
  coordinator::CoordinatorOptions options_;
  std::unique_ptr<coordinator::Coordinator> daemon_;
};

// A context with a deadline, so that no test hangs.
class Context : public grpc::ClientContext {
 public:
  explicit Context(absl::Duration timeout = absl::Seconds(20),
                   bool wait_for_ready = false) {
    PrepareContext({timeout, wait_for_ready}, this);
  }
};

}  // namespace longspan::testing
