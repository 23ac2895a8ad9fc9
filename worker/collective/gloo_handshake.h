// The proof, right after connecting, that a peer belongs to the job. Internal
// to gloo_group.
//
// Both ranks of a pair send 32 random bytes, then
//
//   HMAC-SHA256(secret, label | key prefix | from | to | nonce_from | nonce_to)
//
// which is compared in constant time. Ranks and direction are part of the
// message, so a proof cannot be replayed, reflected or used by another rank.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/collective/gloo_mesh.h"

namespace longspan::worker {

// Slots below this one belong to the handshake and the watcher.
inline constexpr GlooSlot kFirstFreeSlot = 16;

using GlooToken = std::array<unsigned char, 32>;
using GlooTokens = std::vector<GlooToken>;  // by rank

// Sends tokens[r] to every other rank r; answers what they sent. Our own token
// comes back in our own place.
absl::StatusOr<GlooTokens> SwapTokens(GlooMesh* mesh, const char* what,
                                      GlooSlot slot, const GlooTokens& tokens,
                                      GlooMesh::TimePoint deadline);

// kUnauthenticated names the peers whose proof is wrong.
absl::Status ProveSecret(GlooMesh* mesh, const std::string& secret,
                         const std::string& key_prefix,
                         GlooMesh::TimePoint deadline);

}  // namespace longspan::worker
