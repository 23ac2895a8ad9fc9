// How a long text is cut into the pieces that a gang processes one after the
// other. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "common/model_spec/token_range.h"

namespace longspan::worker {

// Pieces that tile [0, tokens), in order, none longer than LongestPiece().
// Every piece has at least `ranks` tokens, since each rank needs one; only a
// text that is itself shorter becomes a single, smaller piece.
std::vector<TokenRange> CutIntoPieces(int64_t tokens, int64_t piece_length,
                                      int ranks);

// min(tokens, max(piece_length, 2 ranks - 1)): below that, not every length
// could be cut into pieces that all ranks share.
int64_t LongestPiece(int64_t tokens, int64_t piece_length, int ranks);

}  // namespace longspan::worker
