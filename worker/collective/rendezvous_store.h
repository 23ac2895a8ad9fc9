// Where the ranks of one attempt leave their addresses for each other: a
// small key-value store. The executor implements it over its socket to the
// agent, which relays to the coordinator; tests keep it in memory.
//
// Keys are unique: a group prefixes them with (job, attempt, epoch), so no key
// is ever written twice. Values are opaque bytes, at most a few kilobytes.
//
// Thread-safe. Abort() makes pending and later calls return kAborted.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace longspan::worker {

class RendezvousStore {
 public:
  virtual ~RendezvousStore() = default;

  virtual absl::Status Set(const std::string& key,
                           const std::string& value) = 0;

  // Waits until the key is there. kDeadlineExceeded after `timeout`.
  virtual absl::StatusOr<std::string> Get(const std::string& key,
                                          absl::Duration timeout) = 0;

  virtual void Abort() = 0;
};

}  // namespace longspan::worker
