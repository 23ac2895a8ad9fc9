#include "common/job_spec/json_schema.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace longspan {
namespace {

TEST(JsonSchemaTest, DescribesTheFieldsThatAreRead) {
  auto schema = nlohmann::json::parse(JobSpecJsonSchema());
  EXPECT_EQ(schema["additionalProperties"], false);
  const auto& train = schema["properties"]["train"]["properties"];
  EXPECT_EQ(train["max_duration"]["type"], "string");
  EXPECT_EQ(train["sequence_length"]["anyOf"][0]["minimum"], 1);
  EXPECT_EQ(
      train["optimizer"]["properties"]["learning_rate"]["exclusiveMinimum"], 0);
  EXPECT_EQ(
      train["model"]["properties"]["linear"]["properties"]["mixer"]["enum"],
      (nlohmann::json{"basic", "lightning", "retention", "simple_gla", "gla",
                      "based", "rebased", "hedgehog", "lawcat", "deltanet",
                      "gated_deltanet", "kda", "hgrn2", "mamba2"}));
  EXPECT_EQ(schema["allOf"][0]["oneOf"].size(), 4u);
}

}  // namespace
}  // namespace longspan
