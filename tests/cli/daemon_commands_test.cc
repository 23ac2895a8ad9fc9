#include "cli/daemon_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longspan::cli {
namespace {

using testing::Contains;

TEST(DaemonCommandsTest, OneCoordinatorAndItsWorkers) {
  UpOptions options;
  options.workers = 3;
  options.roots = {"corpus=/srv/corpus", "models=/srv/models"};
  options.log_format = "json";
  auto commands = MakeDaemonCommands(options, "/bin", "/run/x");
  ASSERT_TRUE(commands.ok());
  ASSERT_EQ(commands->size(), 4u);
  EXPECT_EQ((*commands)[0].arguments[0], "/bin/longspan-coordinator");
  EXPECT_THAT((*commands)[0].arguments, Contains("--listen=127.0.0.1:7600"));
  EXPECT_THAT((*commands)[0].arguments, Contains("--log-format=json"));
  EXPECT_EQ((*commands)[3].name, "worker-2");
  EXPECT_THAT((*commands)[3].arguments, Contains("--log-format=json"));
  EXPECT_THAT((*commands)[3].arguments, Contains("--root=corpus=/srv/corpus"));
  EXPECT_THAT((*commands)[3].arguments, Contains("--root=models=/srv/models"));
  EXPECT_THAT((*commands)[3].arguments,
              Contains("--root=outputs=/run/x/outputs"));
}

TEST(DaemonCommandsTest, GpusAreOneWorkers) {
  UpOptions options;
  options.devices = "cuda";
  options.slots_per_device = 2;
  options.workers = 2;
  EXPECT_FALSE(MakeDaemonCommands(options, "/bin", "/run").ok());
  options.workers = 1;
  const auto commands = MakeDaemonCommands(options, "/bin", "/run");
  ASSERT_TRUE(commands.ok()) << commands.status();
  EXPECT_THAT((*commands)[1].arguments, Contains("--devices=cuda"));
  EXPECT_THAT((*commands)[1].arguments, Contains("--slots-per-device=2"));
}

TEST(DaemonCommandsTest, RootsAreAbsolute) {
  for (const char* bad : {"corpus", "corpus=", "=/a", "corpus=a/b"}) {
    UpOptions options;
    options.roots = {bad};
    EXPECT_FALSE(MakeDaemonCommands(options, "/bin", "/run").ok()) << bad;
  }
}

}  // namespace
}  // namespace longspan::cli
