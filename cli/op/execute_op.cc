#include "cli/op/execute_op.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/edit_distance.h"
#include "common/base/status_macros.h"

namespace longspan::cli {
namespace {

using kernels::DType;

// How many sizes of `shape` the * of its description stands for.
std::optional<size_t> LeadingSizes(const OpTensor& giver,
                                   const std::vector<int64_t>& shape) {
  if (giver.shape[0] != '*') return std::nullopt;
  return shape.size() - std::count(giver.shape.begin(), giver.shape.end(), ' ');
}

class Execution {
 public:
  Execution(const OpRequest& request, const OpPlace& place,
            const std::vector<NamedTensor>& tensors)
      : op_(*request.op), request_(request), place_(place), tensors_(tensors) {}

  absl::StatusOr<std::vector<OwnedTensor>> Run() {
    RETURN_IF_ERROR(CheckNames());
    RETURN_IF_ERROR(ChooseType());
    OpCall call(place_, dtype_, request_.flags);
    absl::Status status = RunCall(call);
    // Nothing of the call's memory may be in use when it goes away.
    const absl::Status finished = place_.stream->Synchronize();
    RETURN_IF_ERROR(status);
    RETURN_IF_ERROR(finished);
    return Results(call);
  }

 private:
  const NamedTensor* Find(const std::string& name) const {
    for (const NamedTensor& tensor : tensors_) {
      if (tensor.name == name) return &tensor;
    }
    return nullptr;
  }

  absl::Status CheckNames() {
    std::vector<std::string> names;
    for (const OpTensor& tensor : op_.tensors) {
      if (IsRead(tensor.role)) names.push_back(tensor.name);
    }
    for (const NamedTensor& tensor : tensors_) {
      if (std::count(names.begin(), names.end(), tensor.name) > 0) continue;
      const auto closest = ClosestName(tensor.name, names);
      return absl::InvalidArgumentError(absl::StrCat(
          op_.name, " has no tensor '", tensor.name, "'",
          closest ? absl::StrCat("; did you mean '", *closest, "'?") : "",
          " It reads ", absl::StrJoin(names, ", ")));
    }
    for (const OpTensor& tensor : op_.tensors) {
      if (IsSeed(tensor.role) && Find(tensor.name)) backward_ = true;
    }
    for (const OpTensor& tensor : op_.tensors) {
      const bool needed = tensor.role == TensorRole::kInput ||
                          (backward_ && tensor.role == TensorRole::kSeed);
      if (!needed || Find(tensor.name)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "the tensor '", tensor.name, "' ",
          ShapeText(ShapeGiver(op_, tensor).shape), " is missing; ", op_.name,
          IsSeed(tensor.role) ? " needs it for its gradients" : " needs it"));
    }
    return absl::OkStatus();
  }

  absl::Status ChooseType() {
    if (request_.dtype) dtype_ = *request_.dtype;
    if (request_.dtype) return absl::OkStatus();
    for (TensorType deciding : {TensorType::kOperand, TensorType::kSum}) {
      const NamedTensor* found = FirstOf(deciding);
      if (found == nullptr) continue;
      if (OpTypeOf(found->dtype, &dtype_) && IsReal(dtype_)) {
        type_from_ = found->name;
        return absl::OkStatus();
      }
      return absl::InvalidArgumentError(absl::StrCat(
          found->name, " is ", TypeAndShape(found->dtype, found->shape),
          ", ops run in F32, F64 or BF16; save it in one of them"));
    }
    return absl::OkStatus();
  }

  const NamedTensor* FirstOf(TensorType type) const {
    for (const OpTensor& tensor : op_.tensors) {
      if (!IsRead(tensor.role) || tensor.type != type) continue;
      const NamedTensor* found = Find(tensor.name);
      if (found != nullptr) return found;
    }
    return nullptr;
  }

  // Without --dtype nothing is rounded.
  absl::Status CheckExact(const NamedTensor& tensor, DType to) const {
    DType from = to;
    const bool known = OpTypeOf(tensor.dtype, &from);
    if (request_.dtype || !known || !IsReal(from) || !IsReal(to) ||
        kernels::BytesPerElement(from) <= kernels::BytesPerElement(to)) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(absl::StrCat(
        tensor.name, " is ", TypeAndShape(tensor.dtype, tensor.shape),
        ", needs ", FileTypeOf(to), " where ", type_from_, " is ",
        FileTypeOf(dtype_), "; save it so, or pass --dtype to round all"));
  }

  absl::Status CheckLimits(const OpTensor& about, const NamedTensor& tensor,
                           const OpCall& call) {
    if (!about.at_least && !about.at_most && about.below.empty()) {
      return absl::OkStatus();
    }
    const auto refuse = [&](double value, const std::string& limit) {
      return absl::InvalidArgumentError(absl::StrCat(
          tensor.name, " holds ", value, ", ", limit, ": ", about.meaning));
    };
    for (double value : ElementsOf(tensor)) {
      if (about.at_least && value < *about.at_least) {
        return refuse(value, absl::StrCat("the least is ", *about.at_least));
      }
      if (about.at_most && value > *about.at_most) {
        return refuse(value, absl::StrCat("the most is ", *about.at_most));
      }
      if (!about.below.empty() && value >= call.size(about.below)) {
        return refuse(
            value, absl::StrCat(about.below, " is ", call.size(about.below)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddInput(const OpTensor& about, const NamedTensor& tensor,
                        OpCall& call) {
    const std::string what = absl::StrCat(
        tensor.name, " is ", TypeAndShape(tensor.dtype, tensor.shape));
    const OpTensor& giver = ShapeGiver(op_, about);
    RETURN_IF_ERROR(call.sizes().Bind(what, giver.shape, tensor.shape));
    const DType type = ElementType(about.type, dtype_);
    ASSIGN_OR_RETURN(const std::string bytes, ConvertElements(tensor, type));
    RETURN_IF_ERROR(CheckExact(tensor, type));
    return call.Add(about.name, type, tensor.shape,
                    LeadingSizes(giver, tensor.shape), &bytes);
  }

  absl::Status AddOutput(const OpTensor& about, OpCall& call) {
    const OpTensor& giver = ShapeGiver(op_, about);
    const std::vector<int64_t> shape =
        about.shape.empty() ? call.ShapeOf(giver.name)
                            : call.sizes().ShapeOf(AlternativeShapes(
                                  giver.shape)[*call.Chosen(about.name)]);
    return call.Add(about.name, ElementType(about.type, dtype_), shape,
                    LeadingSizes(giver, shape), nullptr);
  }

  bool Writes(const OpTensor& about, const OpCall& call) const {
    if (about.role == TensorRole::kOutput) {
      return call.Chosen(about.name).has_value();
    }
    return about.role == TensorRole::kGradient && backward_ &&
           call.has(about.name.substr(2));
  }

  absl::Status RunCall(OpCall& call) {
    for (const OpTensor& about : op_.tensors) {
      const NamedTensor* tensor =
          IsRead(about.role) ? Find(about.name) : nullptr;
      if (tensor != nullptr && !IsSeed(about.role)) {
        RETURN_IF_ERROR(AddInput(about, *tensor, call));
      }
    }
    for (const OpTensor& about : op_.tensors) {
      const NamedTensor* tensor =
          IsRead(about.role) ? Find(about.name) : nullptr;
      if (tensor != nullptr) RETURN_IF_ERROR(CheckLimits(about, *tensor, call));
    }
    if (op_.sizes) RETURN_IF_ERROR(op_.sizes(call));
    for (const OpTensor& about : op_.tensors) {
      const NamedTensor* tensor =
          IsSeed(about.role) ? Find(about.name) : nullptr;
      if (tensor != nullptr) RETURN_IF_ERROR(AddInput(about, *tensor, call));
    }
    for (const OpTensor& about : op_.tensors) {
      if (Writes(about, call)) RETURN_IF_ERROR(AddOutput(about, call));
    }
    RETURN_IF_ERROR(op_.forward(call));
    return backward_ ? op_.backward(call) : absl::OkStatus();
  }

  absl::StatusOr<std::vector<OwnedTensor>> Results(const OpCall& call) const {
    std::vector<OwnedTensor> results;
    for (const OpTensor& about : op_.tensors) {
      if (!Writes(about, call)) continue;
      OwnedTensor result = {about.name, FileTypeOf(call.TypeOf(about.name)),
                            call.ShapeOf(about.name)};
      ASSIGN_OR_RETURN(result.bytes, call.Read(about.name));
      results.push_back(std::move(result));
    }
    return results;
  }

  const OpDescription& op_;
  const OpRequest& request_;
  const OpPlace& place_;
  const std::vector<NamedTensor>& tensors_;
  DType dtype_ = DType::kF32;
  std::string type_from_;
  bool backward_ = false;
};

}  // namespace

absl::StatusOr<std::vector<OwnedTensor>> ExecuteOp(
    const OpRequest& request, const OpPlace& place,
    const std::vector<NamedTensor>& tensors) {
  return Execution(request, place, tensors).Run();
}

}  // namespace longspan::cli
