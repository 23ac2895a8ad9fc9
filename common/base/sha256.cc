#include "common/base/sha256.h"

#include <openssl/evp.h>

#include "common/base/check.h"

namespace longspan {

struct Sha256::Context {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> digest{EVP_MD_CTX_new()};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  LONGSPAN_CHECK(context_->digest != nullptr) << "out of memory";
  LONGSPAN_CHECK_EQ(
      EVP_DigestInit_ex(context_->digest.get(), EVP_sha256(), nullptr), 1);
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(const void* data, size_t size) {
  LONGSPAN_CHECK_EQ(EVP_DigestUpdate(context_->digest.get(), data, size), 1);
}

std::string Sha256::HexDigest() const {
  const std::unique_ptr<EVP_MD_CTX, Context::Free> copy(EVP_MD_CTX_new());
  LONGSPAN_CHECK_EQ(EVP_MD_CTX_copy_ex(copy.get(), context_->digest.get()), 1);
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  LONGSPAN_CHECK_EQ(EVP_DigestFinal_ex(copy.get(), bytes, &size), 1);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex.push_back(kDigits[bytes[i] >> 4]);
    hex.push_back(kDigits[bytes[i] & 15]);
  }
  return hex;
}

std::string Sha256::Hex(std::string_view data) {
  Sha256 hash;
  hash.Update(data);
  return hash.HexDigest();
}

}  // namespace longspan
