// The text that a DataSpec names, beneath this node's roots.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "worker/data/token_source.h"
#include "worker/executor/root_uri.h"

namespace longspan::v1 {
class DataSpec;
}

namespace longspan::worker {

// Errors name the URI.
absl::StatusOr<std::unique_ptr<TokenSource>> OpenText(const Roots& roots,
                                                      const v1::DataSpec& data);

}  // namespace longspan::worker
