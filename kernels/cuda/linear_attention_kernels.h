// Launches of the kernels of linear attention; linear_attention_params.h says
// what the parameters mean. Each names its kernel and launch when it fails.
#pragma once

#include "absl/status/status.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "kernels/cuda/linear_attention_params.h"

namespace longspan::kernels::cuda {

absl::Status LaunchTables(const TableParams& params, void* stream);
absl::Status LaunchSegmentDecays(const SegmentDecayParams& params,
                                 void* stream);
absl::Status LaunchSummary(LinearTileKind kind, const SummaryParams& params,
                           void* stream);
absl::Status LaunchFold(const FoldParams& params, void* stream);
absl::Status LaunchScan(LinearTileKind kind, const ScanParams& params,
                        void* stream);
absl::Status LaunchGateGradient(const GateGradientParams& params, void* stream);
absl::Status LaunchDecode(const DecodeParams& params, void* stream);

}  // namespace longspan::kernels::cuda
