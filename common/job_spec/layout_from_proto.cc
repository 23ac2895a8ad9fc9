#include "common/job_spec/layout_from_proto.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "longspan/v1/job.pb.h"

namespace longspan {

absl::StatusOr<std::optional<TokenLayout>> LayoutFromProto(
    v1::TokenLayout_Layout from) {
  switch (from) {
    case v1::TokenLayout::AUTO:
      return std::nullopt;
    case v1::TokenLayout::LAYOUT_UNSPECIFIED:
    case v1::TokenLayout::CONTIGUOUS:
      return TokenLayout::kContiguous;
    case v1::TokenLayout::ZIGZAG:
      return TokenLayout::kZigzag;
    default:
      return absl::UnimplementedError(
          absl::StrCat("layout ", static_cast<int>(from),
                       "; this build knows auto, contiguous and zigzag"));
  }
}

absl::StatusOr<TokenLayout> PlannedLayout(v1::TokenLayout_Layout from) {
  ASSIGN_OR_RETURN(const std::optional<TokenLayout> layout,
                   LayoutFromProto(from));
  if (layout) return *layout;
  return absl::InvalidArgumentError(
      "layout auto: the coordinator chooses one before a job runs");
}

v1::TokenLayout_Layout LayoutToProto(TokenLayout layout) {
  return layout == TokenLayout::kZigzag ? v1::TokenLayout::ZIGZAG
                                        : v1::TokenLayout::CONTIGUOUS;
}

}  // namespace longspan
