// SHA-256, incrementally or at once; the digest of checkpoints and specs.
// Not thread-safe; one hash per thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace longspan {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(const void* data, size_t size);
  void Update(std::string_view data) { Update(data.data(), data.size()); }

  // 64 lower-case hexadecimal digits of everything so far. More may be
  // added afterwards.
  std::string HexDigest() const;

  static std::string Hex(std::string_view data);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace longspan
