#include "kernels/api/stream.h"

namespace longspan::kernels {

absl::Status Stream::WaitFor(Stream&) { return absl::OkStatus(); }

absl::Status Stream::BeginCapture() {
  return absl::UnimplementedError("this backend's streams record no graphs");
}

absl::StatusOr<std::unique_ptr<Graph>> Stream::EndCapture() {
  return absl::UnimplementedError("this backend's streams record no graphs");
}

}  // namespace longspan::kernels
