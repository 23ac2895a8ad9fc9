// The process group of CPU ranks: one process per rank, TCP between them, over
// Gloo's unbound buffers. (Its stock collectives cannot be aborted: a blocked
// rank would wait for the whole timeout.) Ranks of one host take a short cut
// through shared memory; TCP then carries large messages and bad news.
//
// Connection: every rank listens on `listen_address`, leaves its addresses in
// the rendezvous store and connects to all others. Before any tensor data each
// pair of ranks proves to each other that it holds `secret`, bound to the key
// prefix and to both rank numbers. This keeps strangers and stale attempts out;
// it does not encrypt. Bytes of a stranger reach Gloo's framing before they
// fail the proof, so data ports belong on a trusted network.
//
// Failure: a peer that dies or leaves without goodbye breaks the group within
// a few milliseconds, also when it dies in the middle of a message. Breaking
// one rank's group closes its connections, so the others follow.
//
// Destruction says goodbye to the other ranks and waits for theirs, for at
// most two seconds; then they see the connection close. A rank that leaves
// early calls Abort() first, which makes the others fail at once.
//
// Threads: two per group (Gloo's event loop and a watcher), asleep when no
// bytes move. SIGPIPE is ignored by the process from the first group on.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/collective/process_group.h"
#include "worker/collective/rendezvous_store.h"

namespace longspan::worker {

struct GlooGroupOptions {
  int rank = 0;
  int size = 1;
  std::string key_prefix;  // unique per (job, attempt, epoch)
  std::string secret;      // of the job; the same on all ranks, not empty
  std::string listen_address = "127.0.0.1";  // host name or IP of this node
  // Ranks that all run on one host move messages of up to 1 MiB through shared
  // memory, which costs a tenth of the time of TCP on loopback.
  bool shared_memory = true;
  absl::Duration connect_timeout = absl::Seconds(60);
  absl::Duration collective_timeout = absl::Minutes(5);
};

// kUnauthenticated names the rank that does not hold the secret. The store is
// used during the call only.
absl::StatusOr<std::unique_ptr<ProcessGroup>> CreateGlooGroup(
    const GlooGroupOptions& options, RendezvousStore& store);

}  // namespace longspan::worker
