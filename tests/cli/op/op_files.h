// Files for `longspan op`, and what it wrote.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/op/named_tensor.h"
#include "tests/cli/command_output.h"

namespace longspan::cli {

// A path in the test's directory.
std::string OpFile(const std::string& name);

void WriteTensors(const std::string& path,
                  const std::vector<OwnedTensor>& tensors);

OwnedTensor F32Tensor(const std::string& name, std::vector<int64_t> shape,
                      const std::vector<double>& values);
OwnedTensor I64Tensor(const std::string& name,
                      const std::vector<int64_t>& values);

// All tensors of a file.
std::map<std::string, std::vector<double>> ReadTensors(const std::string& path);

// `longspan op NAME --in ... --out ... WORDS...`, from a file with `tensors`;
// the output goes to OpFile("out").
CommandOutput RunOpOn(const std::string& op,
                      const std::vector<OwnedTensor>& tensors,
                      const std::vector<std::string>& words);

double RelativeRms(const std::vector<double>& actual,
                   const std::vector<double>& expected);

}  // namespace longspan::cli
