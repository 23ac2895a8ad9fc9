// longspan op: one op on tensors from a file.
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/op/describe_op.h"
#include "cli/op/execute_op.h"
#include "cli/op/op_table.h"
#include "cli/report_error.h"
#include "common/base/status_macros.h"
#include "common/base/version.h"
#include "common/safetensors/safetensors_reader.h"
#include "common/safetensors/safetensors_writer.h"
#include "kernels/select/backend_registry.h"

namespace longspan::cli {
namespace {

using kernels::BackendKind;
using kernels::DType;

constexpr std::pair<const char*, BackendKind> kBackends[] = {
    {"reference", BackendKind::kReference},
    {"cpu", BackendKind::kCpu},
    {"cuda", BackendKind::kCuda},
};

constexpr std::pair<const char*, DType> kTypes[] = {
    {"f32", DType::kF32}, {"f64", DType::kF64}, {"bf16", DType::kBF16}};

// A backend with a stream.
struct OpenBackend {
  std::unique_ptr<kernels::Backend> backend;
  std::unique_ptr<kernels::Stream> stream;
  OpPlace place;
};

absl::StatusOr<OpenBackend> Open(BackendKind kind, int threads) {
  OpenBackend open;
  ASSIGN_OR_RETURN(open.backend, kernels::CreateBackend(kind));
  ASSIGN_OR_RETURN(open.stream, open.backend->CreateStream(threads));
  open.place = {kind, open.backend.get(), open.stream.get(), threads};
  return open;
}

absl::StatusOr<OpenBackend> OpenNamed(const std::string& name, int threads) {
  for (const auto& [known, kind] : kBackends) {
    if (name != known) continue;
    absl::StatusOr<OpenBackend> open = Open(kind, threads);
    if (open.ok()) return open;
    return absl::InvalidArgumentError(absl::StrCat(
        "--backend ", name, ": ", std::string(open.status().message())));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--backend ", name, ": needs reference, cpu or cuda"));
}

absl::Status Write(const OpOptions& options, const kernels::Backend& backend,
                   const std::vector<OwnedTensor>& results) {
  std::vector<SafetensorsTensor> tensors;
  for (const OwnedTensor& result : results) {
    tensors.push_back({result.name, result.dtype, result.shape, result.bytes});
  }
  return WriteSafetensors(options.output, tensors,
                          {{"op", options.name},
                           {"backend", backend.name()},
                           {"instruction_set", backend.instruction_set()},
                           {"made_by", VersionLine("longspan")}});
}

absl::Status Run(const OpOptions& options) {
  const OpDescription* op = FindOp(options.name);
  ASSIGN_OR_RETURN(const auto file, SafetensorsReader::Open(options.input));
  std::vector<NamedTensor> tensors;
  for (const SafetensorsEntry& entry : file->header().tensors) {
    tensors.push_back(
        {entry.name, entry.dtype, entry.shape, file->Bytes(entry)});
  }
  OpRequest request = {op, options.flags, {}};
  for (const auto& [name, dtype] : kTypes) {
    if (options.dtype == name) request.dtype = dtype;
  }
  ASSIGN_OR_RETURN(const OpenBackend open,
                   OpenNamed(options.backend, options.threads));
  ASSIGN_OR_RETURN(const std::vector<OwnedTensor> results,
                   ExecuteOp(request, open.place, tensors));
  RETURN_IF_ERROR(Write(options, *open.backend, results));
  for (const OwnedTensor& result : results) {
    std::cout << result.name << " " << TypeAndShape(result.dtype, result.shape)
              << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

ExitCode RunOp(const OpOptions& options) {
  absl::Status status = Run(options);
  if (status.ok()) return ExitCode::kOk;
  // What a backend does not have is a refused request.
  if (status.code() == absl::StatusCode::kUnimplemented) {
    status = absl::InvalidArgumentError(status.message());
  }
  return ReportError(status);
}

ExitCode RunOpList() {
  std::vector<OpenBackend> open;
  std::vector<ListedBackend> backends;
  for (const auto& [name, kind] : kBackends) {
    absl::StatusOr<OpenBackend> backend = Open(kind, 1);
    backends.push_back({name, {}, std::string(backend.status().message())});
    if (!backend.ok()) continue;
    backends.back().place = backend->place;
    open.push_back(*std::move(backend));
  }
  std::cout << ListOps(backends);
  return ExitCode::kOk;
}

}  // namespace longspan::cli
