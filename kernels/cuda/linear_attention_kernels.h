// Launches of the kernels of linear attention. Each returns 0 or a CUDA error
// code; linear_attention_params.h says what the parameters mean.
#pragma once

#include "kernels/cost/cuda_linear_attention_plan.h"
#include "kernels/cuda/linear_attention_params.h"

namespace longspan::kernels::cuda {

int LaunchTables(const TableParams& params, void* stream);
int LaunchSegmentDecays(const SegmentDecayParams& params, void* stream);
int LaunchSummary(LinearTileKind kind, const SummaryParams& params,
                  void* stream);
int LaunchFold(const FoldParams& params, void* stream);
int LaunchScan(LinearTileKind kind, const ScanParams& params, void* stream);
int LaunchGateGradient(const GateGradientParams& params, void* stream);
int LaunchDecode(const DecodeParams& params, void* stream);

}  // namespace longspan::kernels::cuda
