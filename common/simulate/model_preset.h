// Models of the LASP-2 paper (arXiv 2502.07563, section 4.1), resolved and
// valid:
//
//   linear-llama3-1b         16 layers of width 2048, 16 heads of 128, basic
//                            linear attention
//   linear-llama3-1b-hybrid  every fourth layer softmax (LLLN)
//   linear-llama3-8b         32 layers of width 4096, 32 heads of 128
//
// without short convolution, gate or normaliser; the paper leaves vocabulary
// and MLP to Llama 3 (128256; the released script has 8192).
//
// Pure.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/model_spec/model_spec.h"

namespace longspan {

// kInvalidArgument, with the names there are, for another name.
absl::StatusOr<ModelSpec> ModelPreset(const std::string& name);

}  // namespace longspan
