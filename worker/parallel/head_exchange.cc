#include "worker/parallel/head_exchange.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;

// Hands out a buffer of bytes from its beginning.
class Cursor {
 public:
  explicit Cursor(TensorView buffer)
      : data_(static_cast<char*>(buffer.data())), limit_(buffer.byte_count()) {}

  // Where the next parcel begins.
  int64_t Align() {
    used_ = (used_ + kHeadParcelAlignment - 1) / kHeadParcelAlignment *
            kHeadParcelAlignment;
    return used_;
  }

  // Dense, of the shape of `like`.
  TensorView Take(const ConstTensorView& like) {
    char* const data = data_ + used_;
    used_ += like.byte_count();
    LONGSPAN_CHECK(used_ <= limit_)
        << used_ << " bytes of parcels in a staging buffer of " << limit_;
    if (like.rank() == 3) {
      return TensorView(data, like.dtype(),
                        {like.size(0), like.size(1), like.size(2)});
    }
    return TensorView(data, like.dtype(),
                      {like.size(0), like.size(1), like.size(2), like.size(3)});
  }
  // What has been taken since `begin`.
  TensorView BytesSince(int64_t begin) const {
    return TensorView(data_ + begin, DType::kU8, {used_ - begin});
  }

 private:
  char* const data_;
  const int64_t limit_;
  int64_t used_ = 0;
};

}  // namespace

HeadExchange::HeadExchange(const RankContext& context, int layer,
                           Direction direction, const SequenceShard& shard,
                           int64_t heads, int64_t key_heads)
    : context_(context),
      tag_({Traffic::kHeadExchange, direction, layer}),
      shard_(shard) {
  for (int r = 0; r < context.ranks(); ++r) {
    cuts_.push_back(CutHeads(heads, key_heads, r, context.ranks()));
  }
}

template <typename View>
View HeadExchange::Part(const View& view, bool by_tokens, bool of_key_heads,
                        int r) const {
  if (!by_tokens) {
    const TokenRange range = shard_.ranges()[r];
    return view.Slice(1, range.begin, range.end);
  }
  const HeadRange heads = of_key_heads ? cuts_[r].key_heads : cuts_[r].heads;
  return view.Slice(2, heads.begin, heads.end);
}

absl::Status HeadExchange::Run(absl::Span<const Move> moves, TensorView staging,
                               bool to_heads) const {
  const int ranks = context_.ranks();
  const int own = context_.rank();
  const auto from = [&](const Move& move, int r) {
    return Part(move.from, to_heads, move.of_key_heads, r);
  };
  const auto to = [&](const Move& move, int r) {
    return Part(move.to, !to_heads, move.of_key_heads, r);
  };
  Cursor cursor(staging);
  std::vector<Parcel> out(ranks), in(ranks);
  for (int r = 0; r < ranks; ++r) {
    if (r == own) continue;
    const int64_t out_begin = cursor.Align();
    for (const Move& move : moves) {
      out[r].parts.push_back(cursor.Take(from(move, r)));
      RETURN_IF_ERROR(Copy(from(move, r), out[r].parts.back()));
    }
    out[r].bytes = cursor.BytesSince(out_begin);
    const int64_t in_begin = cursor.Align();
    for (const Move& move : moves) {
      in[r].parts.push_back(cursor.Take(to(move, r)));
    }
    in[r].bytes = cursor.BytesSince(in_begin);
  }
  RETURN_IF_ERROR(Send(out, in));
  for (int r = 0; r < ranks; ++r) {
    for (size_t i = 0; i < moves.size(); ++i) {
      const ConstTensorView part =
          r == own ? from(moves[i], r) : ConstTensorView(in[r].parts[i]);
      const bool adds = !to_heads && moves[i].of_key_heads && SharesKeys(r);
      RETURN_IF_ERROR(adds ? Add(part, to(moves[i], r))
                           : Copy(part, to(moves[i], r)));
    }
  }
  return absl::OkStatus();
}

absl::Status HeadExchange::Send(absl::Span<const Parcel> out,
                                absl::Span<const Parcel> in) const {
  std::vector<ConstTensorView> send;
  std::vector<TensorView> receive;
  for (int r = 0; r < context_.ranks(); ++r) {
    send.push_back(out[r].bytes);
    receive.push_back(in[r].bytes);
  }
  return context_.group->AllToAll(send, receive, tag_, context_.stream)->Wait();
}

absl::Status HeadExchange::Copy(ConstTensorView from, TensorView to) const {
  if (to.element_count() == 0) return absl::OkStatus();
  return context_.backend->elementwise().Copy(from, to, *context_.stream);
}

absl::Status HeadExchange::Add(ConstTensorView from, TensorView to) const {
  if (to.element_count() == 0) return absl::OkStatus();
  for (int64_t b = 0; b < to.size(0); ++b) {
    const TensorView sum = to.Select(2, 0).Select(0, b);
    RETURN_IF_ERROR(context_.backend->elementwise().Add(
        sum, from.Select(2, 0).Select(0, b), sum, *context_.stream));
  }
  return absl::OkStatus();
}

bool HeadExchange::SharesKeys(int r) const {
  return r > 0 && cuts_[r].key_heads == cuts_[r - 1].key_heads;
}

}  // namespace longspan::worker
