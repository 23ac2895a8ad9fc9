// Whole commands against a coordinator that answers as told.
#include "cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/cli/command_output.h"
#include "tests/cli/fake_job_service.h"

namespace longspan::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kJobFile[] = R"(name: small
train:
  model: {hidden_size: 32, layer_count: 1, layer_pattern: L,
          linear: {heads: 2}, mlp: {intermediate_size: 32}}
  data: {uri: "corpus://a"}
  sequence_length: 64
  steps: 1
  optimizer: {learning_rate: 0.01}
)";

using Output = CommandOutput;

std::string WriteFile(const std::string& name, const std::string& content) {
  std::string path = testing::TempDir() + name;
  std::ofstream(path) << content;
  return path;
}

class CommandsTest : public testing::Test {
 protected:
  CommandsTest() { service_.job.set_name("tenants/default/jobs/a"); }

  Output Ask(std::vector<std::string> words) {
    words.insert(words.begin() + 1,
                 {"--coordinator", service_.client_options().coordinator});
    return Longspan(words);
  }

  FakeJobService service_;
  const std::string file_ = WriteFile("cli_job.yaml", kJobFile);
};

TEST_F(CommandsTest, SubmitSendsTheTextAndPrintsTheName) {
  Output output = Ask({"submit", file_, "--request-id", "r1"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(output.out, "tenants/default/jobs/a\n");
  EXPECT_EQ(service_.created.text().content(), kJobFile);
  EXPECT_EQ(service_.created.text().file_name(), file_);
  EXPECT_EQ(service_.created.request_id(), "r1");
  EXPECT_FALSE(service_.created.validate_only());
}

TEST_F(CommandsTest, SubmitChoosesARequestId) {
  ASSERT_EQ(Ask({"submit", file_}).code, 0);
  EXPECT_EQ(service_.created.request_id().size(), 36u);
}

TEST_F(CommandsTest, SubmitWatchEndsWithTheJob) {
  service_.watch_answers = {{{StateEvent("1", v1::FAILED)}, {}}};
  Output output = Ask({"submit", file_, "--watch"});
  EXPECT_EQ(output.code, 1);
  EXPECT_THAT(output.err, HasSubstr("tenants/default/jobs/a"));
  EXPECT_THAT(output.out, HasSubstr("\"resume_token\":\"1\""));
}

TEST_F(CommandsTest, ServerSideViolationsAreListed) {
  service_.create_status = BadRequestStatus("resources.ranks", "too many");
  Output output = Ask({"submit", file_});
  EXPECT_EQ(output.code, 2);
  EXPECT_EQ(output.err, "resources.ranks: too many\n");
}

TEST_F(CommandsTest, MistakesAreFoundBeforeAnythingIsSent) {
  std::string bad = WriteFile("cli_bad.yaml", "trian: {}\n");
  Output output = Longspan({"submit", bad, "--coordinator", "127.0.0.1:1"});
  EXPECT_EQ(output.code, 2);
  EXPECT_THAT(output.err, HasSubstr(":1:1: trian: unknown key"));
}

TEST_F(CommandsTest, AMissingFileIsNamed) {
  Output output = Longspan({"validate", "/nonexistent/job.yaml"});
  EXPECT_EQ(output.code, 70);
  EXPECT_THAT(output.err, HasSubstr("/nonexistent/job.yaml"));
}

TEST_F(CommandsTest, ValidatePrintsTheResolvedSpec) {
  Output output = Longspan({"validate", file_, "--print", "json"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("\"beta2\": 0.95"));
}

TEST_F(CommandsTest, GetKnowsMissingJobs) {
  EXPECT_EQ(Ask({"get", "a"}).code, 0);
  EXPECT_EQ(Ask({"get", "b"}).code, 4);
}

TEST_F(CommandsTest, NobodyAnswers) {
  Output output = Longspan({"list", "--coordinator", "127.0.0.1:1"});
  EXPECT_EQ(output.code, 3);
  EXPECT_THAT(output.err, HasSubstr("no coordinator answers at 127.0.0.1:1"));
  EXPECT_EQ(Longspan({"list", "--coordinator", "nonsense"}).code, 2);
}

TEST_F(CommandsTest, LogsStartAtTheOffset) {
  service_.log_of = {"one\n", "two\n"};
  EXPECT_EQ(Ask({"logs", "a"}).out, "one\ntwo\n");
  EXPECT_EQ(Ask({"logs", "a", "--offset", "4"}).out, "two\n");
}

TEST_F(CommandsTest, GenerateStreamsTextToStdout) {
  v1::GenerateResponse token;
  token.mutable_token()->set_text("ab\xff");
  v1::GenerateResponse done;
  done.mutable_done()->set_finish_reason("length");
  done.mutable_done()->mutable_usage()->set_generated_tokens(3);
  service_.generated = {token, done};
  Output output = Ask({"generate", "--model-job", "t", "--prompt", "x",
                       "--temperature", "0", "--stop", "END"});
  EXPECT_EQ(output.code, 0);
  EXPECT_EQ(output.out, "ab\xff\n");
  EXPECT_THAT(output.err, HasSubstr("3 tokens"));
  const v1::GenerateSpec& spec = service_.generate_request.generate();
  EXPECT_EQ(spec.model().job(), "tenants/default/jobs/t");
  EXPECT_EQ(spec.text(), "x");
  EXPECT_TRUE(spec.sampling().has_temperature());
  EXPECT_EQ(spec.sampling().stop(0), "END");
}

TEST_F(CommandsTest, BytesThatAreNoTextTravelAsTokens) {
  std::string prompt = WriteFile("cli_prompt", "a\xfe");
  service_.generate_status = {grpc::StatusCode::INTERNAL, "died"};
  Output output =
      Ask({"generate", "--model", "models://m", "--prompt-file", prompt});
  EXPECT_EQ(output.code, 1);
  EXPECT_THAT(service_.generate_request.generate().token_ids().ids(),
              testing::ElementsAre(97, 254));
}

TEST_F(CommandsTest, GenerateNeedsOneModelAndOnePrompt) {
  EXPECT_EQ(Longspan({"generate", "--model", "m://a"}).code, 2);
  EXPECT_EQ(Longspan({"generate", "--model", "m://a", "--model-job", "b",
                      "--prompt", "x"})
                .code,
            2);
}

TEST_F(CommandsTest, UnknownCommandsGetAHint) {
  Output output = Longspan({"wacth", "a"});
  EXPECT_EQ(output.code, 2);
  EXPECT_THAT(output.err, HasSubstr("did you mean 'watch'"));
}

TEST_F(CommandsTest, HelpNamesExitCodes) {
  Output output = Longspan({"--help"});
  EXPECT_EQ(output.code, 0);
  EXPECT_THAT(output.out, HasSubstr("no coordinator answers"));
  EXPECT_THAT(Longspan({"--version"}).out, StartsWith("longspan "));
}

TEST_F(CommandsTest, CompletionKnowsCommandsAndFlags) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    Output output = Longspan({"completion", shell});
    EXPECT_EQ(output.code, 0);
    EXPECT_THAT(output.out, HasSubstr("submit"));
    EXPECT_THAT(output.out, HasSubstr("resume-token"));
  }
}

}  // namespace
}  // namespace longspan::cli
