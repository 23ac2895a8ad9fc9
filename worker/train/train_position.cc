#include "worker/train/train_position.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using State = std::map<std::string, std::string>;

bool Parse(const std::string& text, int64_t* value) {
  return absl::SimpleAtoi(text, value);
}
bool Parse(const std::string& text, double* value) {
  return absl::SimpleAtod(text, value);
}

template <typename T>
absl::Status ReadEntry(const State& state, const std::string& name, T* value) {
  const auto found = state.find(name);
  if (found != state.end() && Parse(found->second, value)) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("checkpoint manifest: state '", name, "' ",
                   found == state.end() ? "is missing" : "is no number"));
}

}  // namespace

State PositionToState(const TrainPosition& position) {
  return {{"updates", absl::StrCat(position.updates)},
          {"skipped", absl::StrCat(position.skipped)},
          {"tokens", absl::StrCat(position.tokens)},
          {"seconds", absl::StrFormat("%.17g", position.seconds)},
          {"loss", absl::StrFormat("%.17g", position.loss)}};
}

absl::StatusOr<TrainPosition> PositionFromState(int64_t step,
                                                const State& state) {
  TrainPosition position = {.step = step};
  RETURN_IF_ERROR(ReadEntry(state, "updates", &position.updates));
  RETURN_IF_ERROR(ReadEntry(state, "skipped", &position.skipped));
  RETURN_IF_ERROR(ReadEntry(state, "tokens", &position.tokens));
  RETURN_IF_ERROR(ReadEntry(state, "seconds", &position.seconds));
  RETURN_IF_ERROR(ReadEntry(state, "loss", &position.loss));
  return position;
}

}  // namespace longspan::worker
