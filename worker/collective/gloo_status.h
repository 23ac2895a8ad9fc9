// Gloo reports failure by exceptions. They end here, as Status.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace longspan::worker {

// Runs `body`; an exception becomes kUnavailable "<what>: <Gloo's words>".
template <typename Body>
absl::Status CatchGloo(const std::string& what, Body&& body) {
  try {
    std::forward<Body>(body)();
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat(what, ": ", error.what()));
  }
}

}  // namespace longspan::worker
