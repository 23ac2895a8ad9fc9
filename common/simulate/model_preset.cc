#include "common/simulate/model_preset.h"

#include "absl/strings/str_cat.h"

namespace longspan {
namespace {

ModelSpec LinearLlama3(int64_t layers, int64_t width, const char* pattern) {
  ModelSpec model;
  model.vocabulary_size = 128256;
  model.hidden_size = width;
  model.layer_count = layers;
  model.layer_pattern = pattern;
  model.linear.mixer = LinearMixer::kBasic;
  model.linear.heads = width / 128;
  model.linear.short_convolution = 0;
  model.linear.output_gate = false;
  model.softmax.heads = width / 128;
  model.mlp.intermediate_size = 8192;
  return ResolveDefaults(model);
}

}  // namespace

absl::StatusOr<ModelSpec> ModelPreset(const std::string& name) {
  if (name == "linear-llama3-1b") return LinearLlama3(16, 2048, "L");
  if (name == "linear-llama3-1b-hybrid") return LinearLlama3(16, 2048, "LLLN");
  if (name == "linear-llama3-8b") return LinearLlama3(32, 4096, "L");
  return absl::InvalidArgumentError(
      absl::StrCat("preset '", name,
                   "' is not known; there are linear-llama3-1b, "
                   "linear-llama3-1b-hybrid and linear-llama3-8b"));
}

}  // namespace longspan
