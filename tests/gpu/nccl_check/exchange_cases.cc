#include "tests/gpu/nccl_check/exchange_cases.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/collective/nccl_group.h"

namespace longspan {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;
using worker::Reduction;
using worker::TrafficTag;

constexpr TrafficTag kTag = {};

// How many elements a rank sends.
using Count = std::function<int64_t(int rank)>;

std::vector<int64_t> CountsOf(const Exchange& exchange, const Count& count) {
  std::vector<int64_t> counts;
  for (int r = 0; r < exchange.ranks(); ++r) counts.push_back(count(r));
  return counts;
}

// Parts of one poisoned tensor, `gap` elements apart.
struct Parts {
  TensorView all;
  std::vector<TensorView> views;
};

absl::StatusOr<Parts> MakeParts(Exchange& exchange, DType dtype,
                                const std::vector<int64_t>& counts,
                                int64_t gap) {
  int64_t total = 0;
  for (const int64_t count : counts) total += count + gap;
  Parts parts;
  ASSIGN_OR_RETURN(parts.all, exchange.Poisoned(dtype, total));
  int64_t begin = 0;
  for (const int64_t count : counts) {
    parts.views.push_back(parts.all.Slice(0, begin, begin + count));
    begin += count + gap;
  }
  return parts;
}

ExchangeCase AllGather(const std::string& what, DType dtype, Count count,
                       int64_t gap = 0) {
  const auto run = [=](Exchange& exchange) -> absl::Status {
    const std::vector<int64_t> counts = CountsOf(exchange, count);
    ASSIGN_OR_RETURN(const TensorView send,
                     exchange.Random(dtype, counts[exchange.rank()]));
    ASSIGN_OR_RETURN(const Parts parts,
                     MakeParts(exchange, dtype, counts, gap));
    RETURN_IF_ERROR(exchange.Finish(exchange.group().AllGather(
        send, parts.views, kTag, exchange.stream())));
    return exchange.Keep(parts.all);
  };
  return {"AllGather " + what, run};
}

absl::Status GatherInPlace(Exchange& exchange) {
  constexpr int64_t kCount = 4099;
  ASSIGN_OR_RETURN(const TensorView all,
                   exchange.Random(DType::kF32, kCount * exchange.ranks()));
  std::vector<TensorView> parts;
  for (int r = 0; r < exchange.ranks(); ++r) {
    parts.push_back(all.Slice(0, r * kCount, (r + 1) * kCount));
  }
  RETURN_IF_ERROR(exchange.Finish(exchange.group().AllGather(
      parts[exchange.rank()], parts, kTag, exchange.stream())));
  return exchange.Keep(all);
}

ExchangeCase ReduceScatter(const std::string& what, DType dtype, Count count) {
  const auto run = [=](Exchange& exchange) -> absl::Status {
    std::vector<ConstTensorView> send;
    for (const int64_t part : CountsOf(exchange, count)) {
      ASSIGN_OR_RETURN(const TensorView view, exchange.Random(dtype, part));
      send.push_back(view);
    }
    ASSIGN_OR_RETURN(const TensorView sum,
                     exchange.Poisoned(dtype, count(exchange.rank())));
    RETURN_IF_ERROR(exchange.Finish(
        exchange.group().ReduceScatter(send, sum, kTag, exchange.stream())));
    return exchange.Keep(sum);
  };
  return {absl::StrCat("ReduceScatter ", what, " ", DTypeName(dtype)), run};
}

ExchangeCase AllReduce(DType dtype, int64_t count) {
  const auto run = [=](Exchange& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const TensorView values, exchange.Random(dtype, count));
    RETURN_IF_ERROR(exchange.Finish(exchange.group().AllReduce(
        values, Reduction::kSum, kTag, exchange.stream())));
    return exchange.Keep(values);
  };
  return {absl::StrCat("AllReduce of ", count, " ", DTypeName(dtype)), run};
}

// Memory of the host: control values.
ExchangeCase HostAllReduce(DType dtype, Reduction reduction) {
  const auto run = [=](Exchange& exchange) -> absl::Status {
    constexpr int64_t kCount = 37;
    std::vector<char> values = exchange.RandomOnHost(dtype, kCount);
    RETURN_IF_ERROR(exchange.group()
                        .AllReduce(TensorView(values.data(), dtype, {kCount}),
                                   reduction, kTag)
                        ->Wait());
    exchange.KeepOnHost(values.data(), static_cast<int64_t>(values.size()));
    return absl::OkStatus();
  };
  return {absl::StrCat("AllReduce on the host, ",
                       reduction == Reduction::kMax ? "largest" : "sum", " ",
                       DTypeName(dtype)),
          run};
}

absl::Status HostAllGather(Exchange& exchange) {
  std::vector<std::vector<char>> rows;
  std::vector<TensorView> receive;
  for (int r = 0; r < exchange.ranks(); ++r) {
    rows.emplace_back(8 * 5 * r, '\xff');
    receive.emplace_back(rows.back().data(), DType::kF64,
                         std::initializer_list<int64_t>{5 * r});
  }
  const int64_t count = 5 * exchange.rank();
  std::vector<char> send = exchange.RandomOnHost(DType::kF64, count);
  RETURN_IF_ERROR(
      exchange.group()
          .AllGather(ConstTensorView(send.data(), DType::kF64, {count}),
                     receive, kTag)
          ->Wait());
  for (const std::vector<char>& row : rows) {
    exchange.KeepOnHost(row.data(), static_cast<int64_t>(row.size()));
  }
  return absl::OkStatus();
}

// To the neighbour on one side, from the one on the other; the ends have none.
ExchangeCase SendReceive(const std::string& what, int step) {
  const auto run = [=](Exchange& exchange) -> absl::Status {
    constexpr int64_t kCount = 20011;
    const int to = exchange.rank() + step;
    const int from = exchange.rank() - step;
    const auto exists = [&](int r) { return r >= 0 && r < exchange.ranks(); };
    ASSIGN_OR_RETURN(const TensorView send,
                     exchange.Random(DType::kF32, kCount));
    ASSIGN_OR_RETURN(const TensorView receive,
                     exchange.Poisoned(DType::kF32, kCount));
    RETURN_IF_ERROR(exchange.Finish(exchange.group().SendReceive(
        exists(to) ? send : TensorView(), to,
        exists(from) ? receive : TensorView(), from, kTag, exchange.stream())));
    return exchange.Keep(receive);
  };
  return {"SendReceive " + what, run};
}

absl::Status SeveralInFlight(Exchange& exchange) {
  std::vector<TensorView> sums;
  std::vector<std::unique_ptr<worker::Work>> works;
  for (const int64_t count : {1000, 70001, 30011}) {
    ASSIGN_OR_RETURN(sums.emplace_back(), exchange.Random(DType::kF32, count));
    works.push_back(exchange.group().AllReduce(sums.back(), Reduction::kSum,
                                               kTag, exchange.stream()));
  }
  for (auto work = works.rbegin(); work != works.rend(); ++work) {
    RETURN_IF_ERROR(exchange.Finish(std::move(*work)));
  }
  for (const TensorView& sum : sums) RETURN_IF_ERROR(exchange.Keep(sum));
  return exchange.group().Barrier();
}

}  // namespace

std::vector<ExchangeCase> ExchangeCases(bool large) {
  const Count equal = [](int) { return 5003; };
  const Count uneven = [](int rank) { return 1 + 3001 * rank; };
  const Count some = [](int rank) { return rank % 2 == 0 ? 0 : 257; };
  std::vector<ExchangeCase> cases = {
      AllGather("of equal parts", DType::kF32, equal),
      AllGather("of equal parts, apart", DType::kF32, equal, 8),
      AllGather("of uneven parts", DType::kF64, uneven),
      AllGather("of uneven parts, apart", DType::kF32, uneven, 8),
      AllGather("with empty parts", DType::kI64, some),
      {"AllGather in place", GatherInPlace},
      ReduceScatter("of equal parts", DType::kF32, equal),
      ReduceScatter("of uneven parts", DType::kF32, uneven),
      ReduceScatter("with empty parts", DType::kF32, some),
      SendReceive("to the right", 1),
      SendReceive("to the left", -1),
      {"several works in flight", SeveralInFlight},
      {"AllGather on the host", HostAllGather},
      HostAllReduce(DType::kI64, Reduction::kMax),
      HostAllReduce(DType::kF64, Reduction::kSum),
      HostAllReduce(DType::kF32, Reduction::kSum)};
  for (const int64_t count : {1, 1000, 100003}) {
    cases.push_back(AllReduce(DType::kF32, count));
  }
  if (large) {
    cases.push_back(
        AllReduce(DType::kF32, worker::kNcclScratchBytes / 4 * 3 / 2 + 5));
  }
  return cases;
}

}  // namespace longspan
