#include "common/job_spec/sequence_parallel_from_proto.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "longspan/v1/job.pb.h"

namespace longspan {

absl::StatusOr<SequenceParallel> SequenceParallelFromProto(
    v1::SequenceParallel from) {
  switch (from) {
    case v1::SEQUENCE_PARALLEL_UNSPECIFIED:
    case v1::LASP2:
      return SequenceParallel::kLasp2;
    case v1::LASP1:
      return SequenceParallel::kLasp1;
    case v1::LASP1_SERIAL:
      return SequenceParallel::kLasp1Serial;
    case v1::ALL_SCAN:
      return SequenceParallel::kAllScan;
    case v1::SCAN:
      return SequenceParallel::kScan;
    case v1::ULYSSES:
      return SequenceParallel::kUlysses;
    case v1::RING:
      return SequenceParallel::kRing;
    case v1::MEGATRON_SP:
      return SequenceParallel::kMegatronSp;
    case v1::RING_LEFT:
      return SequenceParallel::kRingLeft;
    default:
      return absl::UnimplementedError(absl::StrCat(
          "sequence_parallel ", static_cast<int>(from),
          "; this build knows lasp2, lasp1, lasp1_serial, all_scan, scan, "
          "ulysses, ring, ring_left and megatron_sp"));
  }
}

absl::StatusOr<SoftmaxParallel> SoftmaxParallelFromProto(
    v1::SoftmaxSequenceParallel_Method from) {
  switch (from) {
    case v1::SoftmaxSequenceParallel::METHOD_UNSPECIFIED:
    case v1::SoftmaxSequenceParallel::GATHER:
      return SoftmaxParallel::kGather;
    case v1::SoftmaxSequenceParallel::RING:
      return SoftmaxParallel::kRing;
    case v1::SoftmaxSequenceParallel::ULYSSES:
      return SoftmaxParallel::kUlysses;
    case v1::SoftmaxSequenceParallel::MEGATRON_SP:
      return SoftmaxParallel::kMegatronSp;
    default:
      return absl::UnimplementedError(absl::StrCat(
          "softmax_sequence_parallel ", static_cast<int>(from),
          "; this build knows gather, ring, ulysses and megatron_sp"));
  }
}

GatherSettings GatherSettingsFromProto(const v1::TrainSpec& train) {
  return {train.state_exchange_precision() == v1::BF16,
          std::max(1, train.state_exchange_splits())};
}

}  // namespace longspan
