#include "worker/collective/gloo_handshake.h"

#include <array>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "openssl/crypto.h"
#include "openssl/evp.h"
#include "openssl/hmac.h"
#include "openssl/rand.h"
#include "worker/collective/gloo_exchange.h"

namespace longspan::worker {
namespace {

using Token = GlooToken;
using Tokens = GlooTokens;

constexpr GlooSlot kNonceSlot = 1;
constexpr GlooSlot kProofSlot = 2;

absl::StatusOr<Tokens> RandomTokens(int count) {
  Tokens tokens(count);
  for (Token& token : tokens) {
    if (RAND_bytes(token.data(), static_cast<int>(token.size())) != 1) {
      return absl::InternalError("no random bytes from OpenSSL");
    }
  }
  return tokens;
}

std::string Bytes(const Token& token) {
  return std::string(token.begin(), token.end());
}

Token Proof(const std::string& secret, const std::string& key_prefix, int from,
            int to, const Token& nonce_from, const Token& nonce_to) {
  const std::string message =
      absl::StrCat("longspan collective 1\n", key_prefix, "\n", from, "\n", to,
                   "\n", Bytes(nonce_from), Bytes(nonce_to));
  Token proof = {};
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(),
       proof.data(), &size);
  return proof;
}

}  // namespace

absl::StatusOr<GlooTokens> SwapTokens(GlooMesh* mesh, const char* what,
                                      GlooSlot slot, const GlooTokens& tokens,
                                      GlooMesh::TimePoint deadline) {
  GlooTokens received(mesh->size());
  received[mesh->rank()] = tokens[mesh->rank()];
  GlooExchange exchange(mesh, what, deadline);
  for (int r = 0; r < mesh->size(); ++r) {
    if (r == mesh->rank()) continue;
    exchange.Receive(r, slot, received[r].data(), sizeof(GlooToken));
    exchange.Send(r, slot, tokens[r].data(), sizeof(GlooToken));
  }
  RETURN_IF_ERROR(exchange.Wait());
  return received;
}

absl::Status ProveSecret(GlooMesh* mesh, const std::string& secret,
                         const std::string& key_prefix,
                         GlooMesh::TimePoint deadline) {
  const int rank = mesh->rank();
  ASSIGN_OR_RETURN(const Tokens own_nonces, RandomTokens(mesh->size()));
  ASSIGN_OR_RETURN(
      const Tokens nonces,
      SwapTokens(mesh, "exchanging nonces", kNonceSlot, own_nonces, deadline));
  Tokens own_proofs(mesh->size());
  for (int r = 0; r < mesh->size(); ++r) {
    own_proofs[r] =
        Proof(secret, key_prefix, rank, r, own_nonces[r], nonces[r]);
  }
  ASSIGN_OR_RETURN(
      const Tokens proofs,
      SwapTokens(mesh, "exchanging proofs", kProofSlot, own_proofs, deadline));
  std::string strangers;
  for (int r = 0; r < mesh->size(); ++r) {
    if (r == rank) continue;
    const Token expected =
        Proof(secret, key_prefix, r, rank, nonces[r], own_nonces[r]);
    if (CRYPTO_memcmp(expected.data(), proofs[r].data(), sizeof(Token)) != 0) {
      absl::StrAppend(&strangers, " ", r);
    }
  }
  if (strangers.empty()) return absl::OkStatus();
  return absl::UnauthenticatedError(absl::StrCat(
      "rank ", rank, " of ", mesh->size(),
      ": a peer does not hold this job's secret: rank", strangers));
}

}  // namespace longspan::worker
