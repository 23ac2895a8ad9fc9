#include "tests/cli/op/op_files.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "common/base/check.h"
#include "common/safetensors/safetensors_reader.h"
#include "common/safetensors/safetensors_writer.h"

namespace longspan::cli {
namespace {

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(T)};
}

}  // namespace

std::string OpFile(const std::string& name) {
  return testing::TempDir() + "/cli_op_" + name + ".safetensors";
}

void WriteTensors(const std::string& path,
                  const std::vector<OwnedTensor>& tensors) {
  std::vector<SafetensorsTensor> written;
  for (const OwnedTensor& tensor : tensors) {
    written.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  }
  ASSERT_EQ(WriteSafetensors(path, written), absl::OkStatus());
}

OwnedTensor F32Tensor(const std::string& name, std::vector<int64_t> shape,
                      const std::vector<double>& values) {
  const std::vector<float> narrow(values.begin(), values.end());
  return {name, "F32", std::move(shape), BytesOf(narrow)};
}

OwnedTensor I64Tensor(const std::string& name,
                      const std::vector<int64_t>& values) {
  return {name, "I64", {static_cast<int64_t>(values.size())}, BytesOf(values)};
}

std::map<std::string, std::vector<double>> ReadTensors(
    const std::string& path) {
  const auto reader = SafetensorsReader::Open(path);
  LONGSPAN_CHECK_OK(reader);
  std::map<std::string, std::vector<double>> tensors;
  for (const SafetensorsEntry& entry : (*reader)->header().tensors) {
    tensors[entry.name] = ElementsOf(
        {entry.name, entry.dtype, entry.shape, (*reader)->Bytes(entry)});
  }
  return tensors;
}

CommandOutput RunOpOn(const std::string& op,
                      const std::vector<OwnedTensor>& tensors,
                      const std::vector<std::string>& words) {
  WriteTensors(OpFile("in"), tensors);
  std::vector<std::string> command = {"op",         op,      "--in",
                                      OpFile("in"), "--out", OpFile("out")};
  command.insert(command.end(), words.begin(), words.end());
  return Longspan(command);
}

double RelativeRms(const std::vector<double>& actual,
                   const std::vector<double>& expected) {
  LONGSPAN_CHECK_EQ(actual.size(), expected.size());
  double error = 0.0, size = 0.0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double difference = actual[i] - expected[i];
    error += difference * difference;
    size += expected[i] * expected[i];
  }
  return size == 0.0 ? std::sqrt(error) : std::sqrt(error / size);
}

}  // namespace longspan::cli
