#include "worker/checkpoint/checkpoint_tensor.h"

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using Json = nlohmann::json;

absl::StatusOr<std::vector<int64_t>> Numbers(const Json& json, const char* key,
                                             size_t rank) {
  const absl::Status bad = absl::DataLossError(
      absl::StrCat("slice: '", key, "' is not a list of ", rank, " sizes"));
  if (!json.is_object() || !json.contains(key) || !json[key].is_array() ||
      json[key].size() != rank) {
    return bad;
  }
  std::vector<int64_t> numbers;
  for (const Json& number : json[key]) {
    if (!number.is_number_unsigned() ||
        number.get<uint64_t>() > (uint64_t{1} << 48)) {
      return bad;
    }
    numbers.push_back(static_cast<int64_t>(number.get<uint64_t>()));
  }
  return numbers;
}

}  // namespace

std::string_view SafetensorsTypeOf(kernels::DType dtype) {
  switch (dtype) {
    case kernels::DType::kF32:
      return "F32";
    case kernels::DType::kF64:
      return "F64";
    case kernels::DType::kBF16:
      return "BF16";
    case kernels::DType::kU8:
      return "U8";
    case kernels::DType::kI32:
      return "I32";
    case kernels::DType::kI64:
      return "I64";
  }
  return "";
}

std::vector<int64_t> ShapeOf(kernels::ConstTensorView view) {
  std::vector<int64_t> shape(view.rank());
  for (int dim = 0; dim < view.rank(); ++dim) shape[dim] = view.size(dim);
  return shape;
}

std::string SliceKey(std::string_view name) {
  return "slice:" + std::string(name);
}

std::string SliceToJson(const SlicePlace& place) {
  return Json{{"global_shape", place.global_shape}, {"offset", place.offset}}
      .dump();
}

absl::StatusOr<SlicePlace> SliceFromJson(std::string_view json,
                                         absl::Span<const int64_t> shape) {
  const Json parsed = Json::parse(json.begin(), json.end(), nullptr, false);
  SlicePlace place;
  ASSIGN_OR_RETURN(place.global_shape,
                   Numbers(parsed, "global_shape", shape.size()));
  ASSIGN_OR_RETURN(place.offset, Numbers(parsed, "offset", shape.size()));
  for (size_t dim = 0; dim < shape.size(); ++dim) {
    if (shape[dim] > place.global_shape[dim] - place.offset[dim]) {
      return absl::DataLossError(absl::StrCat(
          "slice: dimension ", dim, " has ", shape[dim], " at offset ",
          place.offset[dim], " of ", place.global_shape[dim]));
    }
  }
  return place;
}

absl::StatusOr<std::string> DigestOf(absl::Span<const CheckpointTensor> tensors,
                                     const Transfer& transfer) {
  Sha256 digest;
  for (const CheckpointTensor& tensor : tensors) {
    digest.Update(
        absl::StrCat(tensor.name, " ", tensor.data.DebugString(), "\n"));
    RETURN_IF_ERROR(
        transfer.ForEachPiece(tensor.data, [&](std::string_view bytes) {
          digest.Update(bytes.data(), bytes.size());
          return absl::OkStatus();
        }));
  }
  return digest.HexDigest();
}

}  // namespace longspan::worker
