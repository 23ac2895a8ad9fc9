#include "common/base/sha256.h"

#include <utility>

#include "gtest/gtest.h"

namespace longspan {
namespace {

// FIPS 180-2, appendix B.
constexpr char kEmpty[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256Test, KnownAnswers) {
  EXPECT_EQ(Sha256::Hex(""), kEmpty);
  EXPECT_EQ(Sha256::Hex("abc"), kAbc);
  EXPECT_EQ(Sha256::Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, PiecesEqualTheWholeAndTheDigestCanBeReadBetween) {
  Sha256 hash;
  EXPECT_EQ(hash.HexDigest(), kEmpty);
  hash.Update("a");
  EXPECT_NE(hash.HexDigest(), kAbc);
  Sha256 moved = std::move(hash);
  moved.Update("bc");
  EXPECT_EQ(moved.HexDigest(), kAbc);
  EXPECT_EQ(moved.HexDigest(), kAbc);
}

}  // namespace
}  // namespace longspan
