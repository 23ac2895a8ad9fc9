#include "worker/collective/share_memory.h"

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "common/base/status_macros.h"
#include "openssl/rand.h"
#include "worker/collective/gloo_handshake.h"
#include "worker/collective/shared_segment.h"

namespace longspan::worker {
namespace {

constexpr GlooSlot kNonceSlot = 5;
constexpr GlooSlot kPlaceSlot = 6;
constexpr GlooSlot kVerdictSlot = 7;

// Where rank 0 keeps the segment.
struct Place {
  int64_t pid = 0;
  int64_t fd = -1;
};

template <typename Value>
GlooTokens ForEveryRank(const Value& value, int size) {
  static_assert(sizeof(Value) <= sizeof(GlooToken));
  GlooToken token = {};
  std::memcpy(token.data(), &value, sizeof(value));
  return GlooTokens(size, token);
}

template <typename Value>
Value FromToken(const GlooToken& token) {
  Value value;
  std::memcpy(&value, token.data(), sizeof(value));
  return value;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SharedLanes>> ShareMemory(
    GlooMesh* mesh, GlooMesh::TimePoint deadline) {
  const int size = mesh->size();
  std::unique_ptr<SharedSegment> segment;
  SharedSegment::Nonce nonce = {};
  Place place;
  if (mesh->rank() == 0 &&
      RAND_bytes(nonce.data(), static_cast<int>(nonce.size())) == 1) {
    auto made = SharedSegment::Create(size, nonce);
    if (made.ok()) {
      segment = *std::move(made);
      place = {getpid(), segment->fd()};
    }
  }
  ASSIGN_OR_RETURN(const GlooTokens nonces,
                   SwapTokens(mesh, "sharing memory", kNonceSlot,
                              ForEveryRank(nonce, size), deadline));
  ASSIGN_OR_RETURN(const GlooTokens places,
                   SwapTokens(mesh, "sharing memory", kPlaceSlot,
                              ForEveryRank(place, size), deadline));
  if (mesh->rank() != 0) {
    place = FromToken<Place>(places[0]);
    auto opened =
        SharedSegment::Open(size, nonces[0], static_cast<pid_t>(place.pid),
                            static_cast<int>(place.fd));
    if (opened.ok()) segment = *std::move(opened);
  }
  const bool shared = segment != nullptr;
  ASSIGN_OR_RETURN(const GlooTokens verdicts,
                   SwapTokens(mesh, "sharing memory", kVerdictSlot,
                              ForEveryRank(shared, size), deadline));
  for (const GlooToken& verdict : verdicts) {
    if (!FromToken<bool>(verdict)) return nullptr;
  }
  return std::make_unique<SharedLanes>(mesh->rank(), size, std::move(segment));
}

}  // namespace longspan::worker
