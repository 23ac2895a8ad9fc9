// Every mistake is one line that names the value, the limit and the fix.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cli/op/op_example.h"
#include "cli/op/op_table.h"
#include "tests/cli/op/op_files.h"

namespace longspan::cli {
namespace {

using testing::HasSubstr;

OwnedTensor Zeros(const std::string& name, std::vector<int64_t> shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return F32Tensor(name, shape, std::vector<double>(count, 0.0));
}

std::vector<OwnedTensor> Good() {
  return {Zeros("q", {1, 5, 2, 4}), Zeros("k", {1, 5, 2, 4}),
          Zeros("v", {1, 5, 2, 3})};
}

void ExpectMistake(const std::vector<OwnedTensor>& tensors,
                   const std::vector<std::string>& words,
                   const std::string& message) {
  const CommandOutput output = RunOpOn("linear_attention", tensors, words);
  EXPECT_EQ(output.code, 2) << output.err;
  EXPECT_THAT(output.err, HasSubstr(message));
  EXPECT_EQ(std::count(output.err.begin(), output.err.end(), '\n'), 1)
      << output.err;
  EXPECT_EQ(output.out, "");
}

class OpErrorsTest : public testing::Test {
 protected:
  std::vector<OwnedTensor> tensors_ = Good();
};

TEST_F(OpErrorsTest, NoneOfAGoodFile) {
  const CommandOutput output = RunOpOn("linear_attention", tensors_, {});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(output.out, "o F32[1, 5, 2, 3]\nfinal_state F32[1, 2, 4, 3]\n");
}

TEST_F(OpErrorsTest, MissingTensors) {
  tensors_.erase(tensors_.begin() + 1);
  ExpectMistake(tensors_, {},
                "the tensor 'k' [B, T, Hk, Dk] is missing; linear_attention "
                "needs it");
}

TEST_F(OpErrorsTest, MissingSeeds) {
  tensors_.push_back(Zeros("d_final_state", {1, 2, 4, 3}));
  ExpectMistake(tensors_, {},
                "the tensor 'd_o' [B, T, H, Dv] is missing; linear_attention "
                "needs it for its gradients");
}

TEST_F(OpErrorsTest, UnknownTensors) {
  tensors_.push_back(Zeros("log_gates", {1, 5, 2}));
  ExpectMistake(tensors_, {},
                "linear_attention has no tensor 'log_gates'; did you mean "
                "'log_gate'? It reads q, k, v,");
}

TEST_F(OpErrorsTest, WrongSizes) {
  tensors_[1] = Zeros("k", {1, 5, 3, 4});
  ExpectMistake(tensors_, {},
                "k is F32[1, 5, 3, 4]: Hk is 3; needs [B, T, Hk, Dk] with B = "
                "1 of q, Dk = 4 of q, Hk = 2 of q, T = 5 of q");
}

TEST_F(OpErrorsTest, WrongRanks) {
  tensors_[0] = Zeros("q", {5, 2, 4});
  ExpectMistake(tensors_, {}, "q is F32[5, 2, 4]: needs [B, T, Hk, Dk]");
}

TEST_F(OpErrorsTest, EmptyTensors) {
  tensors_[0] = Zeros("q", {1, 0, 2, 4});
  ExpectMistake(tensors_, {}, "q is F32[1, 0, 2, 4]: T is 0; leave out");
}

TEST_F(OpErrorsTest, WrongTypes) {
  tensors_[2] = I64Tensor("v", {1});
  tensors_[2].shape = {1, 1, 1, 1};
  tensors_[0] = Zeros("q", {1, 1, 1, 4});
  tensors_[1] = Zeros("k", {1, 1, 1, 4});
  ExpectMistake(tensors_, {}, "v is I64[1, 1, 1, 1], needs F32, F64 or BF16");
  tensors_[0].dtype = "F16";
  tensors_[0].shape = {1, 1, 1, 8};
  ExpectMistake(tensors_, {}, "q is F16[1, 1, 1, 8], ops run in F32, F64");
}

TEST_F(OpErrorsTest, TypesThatWouldBeRounded) {
  tensors_[2].dtype = "F64";
  tensors_[2].bytes += tensors_[2].bytes;
  ExpectMistake(tensors_, {},
                "v is F64[1, 5, 2, 3], needs F32 where q is F32; save it so, "
                "or pass --dtype");
  EXPECT_EQ(RunOpOn("linear_attention", tensors_, {"--dtype", "f32"}).code, 0);
}

TEST_F(OpErrorsTest, TypesThatABackendLacks) {
  ExpectMistake(tensors_, {"--dtype", "f64", "--backend", "cuda"},
                "needs type f32 or bf16");
  tensors_.push_back(Zeros("log_gate", {1, 5, 2, 4}));
  ExpectMistake(tensors_, {"--dtype", "bf16"},
                "vector gates need f32 or f64 operands, not bf16");
}

TEST_F(OpErrorsTest, GatesThatAreNotLogarithms) {
  tensors_.push_back(
      F32Tensor("log_gate", {1, 5, 2}, std::vector<double>(10, 0.9)));
  ExpectMistake(tensors_, {}, "log_gate holds 0.9, the most is 0");
}

TEST_F(OpErrorsTest, TensorsThatTheTransitionDoesNotUse) {
  tensors_.push_back(Zeros("log_gate", {1, 5, 2}));
  ExpectMistake(tensors_, {"--transition", "identity"},
                "the transition identity has no use for log_gate");
  ExpectMistake(tensors_, {"--transition", "constant"}, "log_gate");
  ExpectMistake(Good(), {"--transition", "dense"},
                "the transition dense needs the tensor 'beta'");
}

TEST_F(OpErrorsTest, Documents) {
  tensors_.push_back(I64Tensor("document_starts", {0, 9}));
  ExpectMistake(tensors_, {}, "9");
}

TEST_F(OpErrorsTest, Flags) {
  const std::pair<const char*, const char*> kMistakes[] = {
      {"--scale=big", "--scale: 'big' is not a finite decimal number"},
      {"--scale=nan", "--scale: 'nan' is not a finite decimal number"},
      {"--scale=1e999", "--scale: '1e999' is not a finite decimal number"},
      {"--scale=0x4", "--scale: '0x4' is not a finite decimal number"},
      {"--transition=diagonal", "--transition: diagonal not in"},
      {"--windows=3", "--windows=3"}};
  for (const auto& [flag, message] : kMistakes) {
    const CommandOutput output = RunOpOn("linear_attention", Good(), {flag});
    EXPECT_EQ(output.code, 2);
    EXPECT_THAT(output.err, HasSubstr(message));
  }
}

TEST_F(OpErrorsTest, WholeNumbers) {
  for (const std::string value :
       {"0x4", "9223372036854775808", "1.5", "four"}) {
    const CommandOutput output =
        RunOpOn("softmax_attention", tensors_, {"--query-offset=" + value});
    EXPECT_EQ(output.code, 2) << value;
    EXPECT_THAT(output.err, HasSubstr("--query-offset: '" + value +
                                      "' is not a decimal whole number from "
                                      "-9223372036854775808 to "
                                      "9223372036854775807"));
  }
}

TEST_F(OpErrorsTest, Names) {
  const CommandOutput output = Longspan({"op", "linear_atention"});
  EXPECT_EQ(output.code, 2);
  EXPECT_EQ(output.err,
            "longspan: 'linear_atention' is not an op; did you mean "
            "'linear_attention'?\n");
  EXPECT_EQ(Longspan({"op"}).code, 2);
}

TEST_F(OpErrorsTest, Files) {
  CommandOutput output = Longspan({"op", "linear_attention", "--in",
                                   "/nonexistent/x", "--out", OpFile("out")});
  EXPECT_EQ(output.code, 70);
  EXPECT_THAT(output.err, HasSubstr("cannot open /nonexistent/x"));
  std::ofstream(OpFile("broken")) << "not safetensors at all";
  output = Longspan({"op", "linear_attention", "--in", OpFile("broken"),
                     "--out", OpFile("out")});
  EXPECT_EQ(output.code, 70);
  EXPECT_THAT(output.err, HasSubstr(OpFile("broken")));
  WriteTensors(OpFile("in"), Good());
  output = Longspan({"op", "linear_attention", "--in", OpFile("in"), "--out",
                     "/nonexistent/y"});
  EXPECT_EQ(output.code, 70);
  EXPECT_THAT(output.err, HasSubstr("cannot create /nonexistent/y"));
}

}  // namespace
}  // namespace longspan::cli
