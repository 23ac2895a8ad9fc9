#include "worker/text_pass/piece_cutter.h"

#include <algorithm>

namespace longspan::worker {

int64_t LongestPiece(int64_t tokens, int64_t piece_length, int ranks) {
  const int64_t least = 2 * static_cast<int64_t>(ranks) - 1;
  return std::min(tokens, std::max(piece_length, least));
}

std::vector<TokenRange> CutIntoPieces(int64_t tokens, int64_t piece_length,
                                      int ranks) {
  const int64_t longest = LongestPiece(tokens, piece_length, ranks);
  std::vector<TokenRange> pieces;
  for (int64_t begin = 0; begin < tokens;) {
    int64_t end = std::min(begin + longest, tokens);
    const int64_t rest = tokens - end;
    if (rest > 0 && rest < ranks) end = tokens - ranks;
    pieces.push_back({begin, end});
    begin = end;
  }
  return pieces;
}

}  // namespace longspan::worker
