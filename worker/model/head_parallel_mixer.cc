#include "worker/model/head_parallel_mixer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model_spec/parameter_layout.h"
#include "common/model_spec/row_block.h"
#include "worker/model/linear_attention_layer.h"
#include "worker/model/softmax_attention_layer.h"
#include "worker/model/token_upload.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// A parameter as a matrix; null stays null.
TensorView AsMatrix(TensorView view) {
  if (view.is_null()) return view;
  return view.Reshape({view.size(0), view.element_count() / view.size(0)});
}

TensorView Cut(TensorView matrix, HeadRange rows, HeadRange columns) {
  if (matrix.is_null()) return matrix;
  const TensorView cut = matrix.Slice(0, rows.begin, rows.end);
  return columns.size() == 0 ? cut : cut.Slice(1, columns.begin, columns.end);
}

std::vector<double> OwnDecays(const ModelSpec& spec, HeadRange heads) {
  const std::vector<double> all =
      LogDecays(spec.linear.mixer, spec.linear.heads);
  return {all.begin() + heads.begin, all.begin() + heads.end};
}

template <typename T>
TensorView& SummedOf(T& tape_or_gradients) {
  return std::visit([](auto& of) -> TensorView& { return of.summed; },
                    tape_or_gradients);
}

// Rows [begin, end) of rank r's part, flat.
template <typename View>
std::vector<View> Parcels(const View& gathered, const SequenceShard& shard) {
  std::vector<View> parcels;
  int64_t at = 0;
  for (const TokenRange& range : shard.ranges()) {
    const int64_t rows = shard.batch() * range.size();
    parcels.push_back(gathered.Slice(0, at, at + rows));
    at += rows;
  }
  return parcels;
}

// Calls f(rows, gathered rows) for one block after the other: the rows of all
// tokens, batch-major, and where the ranks' order has them.
template <typename F>
absl::Status ForEachBlock(const SequenceShard& shard, int64_t block,
                          const F& f) {
  int64_t at = 0;
  for (const TokenRange& range : shard.ranges()) {
    for (int64_t b = 0; b < shard.batch(); ++b) {
      for (int64_t t = range.begin; t < range.end; t += block) {
        const int64_t count = std::min(block, range.end - t);
        const int64_t row = b * shard.piece().tokens + t;
        RETURN_IF_ERROR(
            f(RowRange{row, row + count}, RowRange{at, at + count}));
        at += count;
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool HeadParallelMixer::Serves(const RankContext& context, LayerKind kind) {
  return HeadsAreCut(context.method, context.softmax_method, kind,
                     context.ranks());
}

// ---- This rank's part ------------------------------------------------------

HeadParallelMixer::HeadParallelMixer(const ModelSpec& spec, int layer,
                                     const Parameters& parameters)
    : layer_(layer),
      hidden_size_(spec.hidden_size),
      own_(parameters.Part(layer)) {
  const RankContext& context = parameters.context();
  const LayerKind kind = LayerKindAt(spec, layer);
  const HeadCut cut = CutLayer(spec, kind, context.rank(), context.ranks());
  const ModelSpec own = OwnLayerSpec(spec, kind, cut);
  AddSlices(SliceMixer(spec, kind, cut), parameters);
  if (kind == LayerKind::kLinear) {
    inner_ = std::make_unique<LinearAttentionLayer>(own, 0, own_,
                                                    OwnDecays(spec, cut.heads));
  } else {
    inner_ = std::make_unique<SoftmaxAttentionLayer>(own, 0, own_);
  }
}

void HeadParallelMixer::AddSlices(const std::vector<ParameterSlice>& slices,
                                  const Parameters& parameters) {
  const std::string prefix = LayerPrefix(layer_) + "attn.";
  for (const ParameterSlice& slice : slices) {
    const std::string whole = prefix + slice.name;
    const std::string own = "model.layers.0.attn." + slice.name;
    int64_t at = 0;
    for (const HeadRange& rows : slice.rows) {
      const HeadRange place = {at, at + rows.size()};
      const auto pick = [&](TensorView matrix) {
        return Cut(matrix, rows, slice.columns);
      };
      const auto put = [&](TensorView matrix) {
        return Cut(matrix, place, {});
      };
      slices_.push_back({pick(AsMatrix(parameters.Value(whole))),
                         put(AsMatrix(own_.Value(own))),
                         pick(AsMatrix(parameters.Gradient(whole))),
                         put(AsMatrix(own_.Gradient(own)))});
      at = place.end;
    }
  }
}

absl::Status HeadParallelMixer::CopyParameters(
    const RankContext& context) const {
  for (const Slice& slice : slices_) {
    RETURN_IF_ERROR(context.backend->elementwise().Copy(slice.whole, slice.own,
                                                        *context.stream));
  }
  return own_.RefreshCompute();
}

absl::Status HeadParallelMixer::AddGradients(const RankContext& context) const {
  for (const Slice& slice : slices_) {
    RETURN_IF_ERROR(context.backend->elementwise().Add(
        slice.whole_gradient, slice.own_gradient, slice.whole_gradient,
        *context.stream));
  }
  return absl::OkStatus();
}

// ---- All tokens ------------------------------------------------------------

absl::Status HeadParallelMixer::Whole::FillPositions() {
  const int64_t tokens = shard.tokens();
  const TensorView positions =
      alone.arena->Allocate("all_positions", kernels::DType::kI64, {tokens});
  pass.positions = positions;
  return UploadPositions(alone, shard, positions);
}

TensorView HeadParallelMixer::AllocateGathered(const RankContext& context,
                                               const LayerPass& pass) const {
  const SequencePiece& piece = pass.shard->piece();
  return context.arena->Allocate("gathered", context.dtype,
                                 {piece.batch * piece.tokens, hidden_size_});
}

std::unique_ptr<Work> HeadParallelMixer::Gather(const RankContext& context,
                                                const LayerPass& pass,
                                                Direction direction,
                                                ConstTensorView own,
                                                TensorView gathered) const {
  return context.group->AllGather(own, Parcels(gathered, *pass.shard),
                                  {Traffic::kHeadExchange, direction, layer_},
                                  context.stream);
}

absl::Status HeadParallelMixer::Scatter(const RankContext& context,
                                        const LayerPass& pass,
                                        Direction direction,
                                        TensorView gathered,
                                        TensorView own) const {
  return context.group
      ->ReduceScatter(Parcels(ConstTensorView(gathered), *pass.shard), own,
                      {Traffic::kHeadExchange, direction, layer_},
                      context.stream)
      ->Wait();
}

MixerTape HeadParallelMixer::AllocateTape(const RankContext& context,
                                          const LayerPass& pass) const {
  const Whole whole(context, pass);
  MixerTape tape = inner_->AllocateTape(whole.alone, whole.pass);
  SummedOf(tape) = context.arena->Allocate("summed", context.dtype,
                                           {pass.shard->rows(), hidden_size_});
  return tape;
}

MixerGradients HeadParallelMixer::AllocateGradients(
    const RankContext& context, const LayerPass& pass) const {
  const Whole whole(context, pass);
  MixerGradients d = inner_->AllocateGradients(whole.alone, whole.pass);
  SummedOf(d) = context.arena->Allocate("d_summed", context.dtype,
                                        {pass.shard->rows(), hidden_size_});
  return d;
}

// ---- Forward ---------------------------------------------------------------

absl::Status HeadParallelMixer::Prepare(const RankContext& context,
                                        const LayerPass& pass,
                                        LayerState* state, MixerTape&) {
  if (state != nullptr || pass.carries_state) {
    return absl::UnimplementedError(
        absl::StrCat("layer ", layer_,
                     ": megatron_sp with a state; it serves training, whose "
                     "sequences begin from none"));
  }
  return CopyParameters(context);
}

absl::Status HeadParallelMixer::Mix(const RankContext& context,
                                    const LayerPass& pass,
                                    ConstTensorView input, LayerState*,
                                    MixerTape& tape) {
  const ArenaScope scratch(*context.arena);
  const SequenceShard& shard = *pass.shard;
  const int64_t block = RowBlockSize(hidden_size_, context.backend_kind);
  Whole whole(context, pass);
  RETURN_IF_ERROR(whole.FillPositions());
  const TensorView gathered = AllocateGathered(context, pass);
  RETURN_IF_ERROR(
      Gather(context, pass, Direction::kForward, input, gathered)->Wait());
  RETURN_IF_ERROR(
      ForEachBlock(shard, block, [&](RowRange rows, RowRange place) {
        return inner_->Project(whole.alone, whole.pass, rows,
                               place.Of(gathered), tape);
      }));
  RETURN_IF_ERROR(inner_->Mix(whole.alone, whole.pass, {}, nullptr, tape));
  // The input is used; its place takes this rank's part of the output.
  RETURN_IF_ERROR(
      context.backend->elementwise().SetZero(gathered, *context.stream));
  RETURN_IF_ERROR(
      ForEachBlock(shard, block, [&](RowRange rows, RowRange place) {
        return inner_->Output(whole.alone, rows, tape, place.Of(gathered));
      }));
  return Scatter(context, pass, Direction::kForward, gathered, SummedOf(tape));
}

absl::Status HeadParallelMixer::Output(const RankContext& context,
                                       RowRange rows, MixerTape& tape,
                                       TensorView residual) {
  return context.backend->elementwise().Add(residual, rows.Of(SummedOf(tape)),
                                            residual, *context.stream);
}

// ---- Backward --------------------------------------------------------------

absl::Status HeadParallelMixer::MixBackward(
    const RankContext& context, const LayerPass& pass, ConstTensorView input,
    ConstTensorView d_output, MixerTape& tape, MixerGradients& gradients) {
  const ArenaScope scratch(*context.arena);
  const SequenceShard& shard = *pass.shard;
  const int64_t block = RowBlockSize(hidden_size_, context.backend_kind);
  Whole whole(context, pass);
  RETURN_IF_ERROR(whole.FillPositions());
  const TensorView d_rows = AllocateGathered(context, pass);
  const TensorView all_input = AllocateGathered(context, pass);
  RETURN_IF_ERROR(own_.ZeroGradients());
  RETURN_IF_ERROR(
      Gather(context, pass, Direction::kBackward, d_output, d_rows)->Wait());
  const std::unique_ptr<Work> travel =
      Gather(context, pass, Direction::kBackward, input, all_input);
  RETURN_IF_ERROR(
      ForEachBlock(shard, block, [&](RowRange rows, RowRange place) {
        return inner_->OutputBackward(whole.alone, rows, place.Of(d_rows), tape,
                                      gradients);
      }));
  RETURN_IF_ERROR(
      inner_->MixBackward(whole.alone, whole.pass, {}, {}, tape, gradients));
  RETURN_IF_ERROR(travel->Wait());
  // The gradient of the output is used; its place takes that of the input.
  RETURN_IF_ERROR(
      ForEachBlock(shard, block, [&](RowRange rows, RowRange place) {
        return inner_->ProjectBackward(whole.alone, rows, place.Of(all_input),
                                       tape, gradients, place.Of(d_rows));
      }));
  RETURN_IF_ERROR(Scatter(context, pass, Direction::kBackward, d_rows,
                          SummedOf(gradients)));
  return AddGradients(context);
}

absl::Status HeadParallelMixer::ProjectBackward(const RankContext& context,
                                                RowRange rows, ConstTensorView,
                                                MixerTape&,
                                                MixerGradients& gradients,
                                                TensorView d_input) {
  return context.backend->elementwise().Copy(rows.Of(SummedOf(gradients)),
                                             d_input, *context.stream);
}

}  // namespace longspan::worker
