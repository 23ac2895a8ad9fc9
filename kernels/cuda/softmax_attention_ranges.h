// Which keys a query sees, and which queries see a key: intervals, whose ends
// never fall from one token to the next. So the first and the last row of a
// tile say what the tile sees, and where it needs no mask.
#pragma once

#include "kernels/cuda/device/qualifiers.h"
#include "kernels/cuda/softmax_attention_params.h"

namespace longspan::kernels::cuda {

struct AttentionRange {  // [begin, end), empty when begin >= end
  int begin;
  int end;
};

// The number of document starts at or before `position`.
LONGSPAN_HOST_DEVICE int64_t DocumentsBegun(const AttentionVisibility& visible,
                                            int64_t position) {
  int64_t low = 0;
  int64_t high = visible.start_count;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (visible.starts[middle] <= position) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

LONGSPAN_HOST_DEVICE int ClampToken(int64_t token, int tokens) {
  return static_cast<int>(token < 0 ? 0 : token < tokens ? token : tokens);
}

LONGSPAN_HOST_DEVICE AttentionRange
KeysOfQuery(const AttentionVisibility& visible, int query) {
  const int64_t position = visible.query_offset + query;
  int64_t begin = 0;
  int64_t end = visible.key_tokens;
  if (visible.start_count > 0) {
    const int64_t begun = DocumentsBegun(visible, position);
    if (begun > 0) begin = visible.starts[begun - 1];
    if (begun < visible.start_count) end = visible.starts[begun];
  }
  if (visible.causal && end > position + 1) end = position + 1;
  if (visible.window > 0 && begin < position - visible.window + 1) {
    begin = position - visible.window + 1;
  }
  return {ClampToken(begin, visible.key_tokens),
          ClampToken(end, visible.key_tokens)};
}

LONGSPAN_HOST_DEVICE AttentionRange
QueriesOfKey(const AttentionVisibility& visible, int key) {
  // Positions [begin, end).
  int64_t begin = 0;
  int64_t end = visible.query_offset + visible.query_tokens;
  if (visible.start_count > 0) {
    const int64_t begun = DocumentsBegun(visible, key);
    if (begun > 0) begin = visible.starts[begun - 1];
    if (begun < visible.start_count && end > visible.starts[begun]) {
      end = visible.starts[begun];
    }
  }
  if (visible.causal && begin < key) begin = key;
  if (visible.window > 0 && end > key + visible.window) {
    end = key + visible.window;
  }
  return {ClampToken(begin - visible.query_offset, visible.query_tokens),
          ClampToken(end - visible.query_offset, visible.query_tokens)};
}

// What a run of rows sees together, [begin, end), and what every one of them
// sees, [all_begin, all_end).
struct AttentionSpan {
  int begin;
  int end;
  int all_begin;
  int all_end;
};

// From the ranges of the first and the last row, also where they are empty:
// their ends rise all the same.
LONGSPAN_HOST_DEVICE AttentionSpan SpanOfRows(AttentionRange first,
                                              AttentionRange last) {
  return {first.begin, last.end, last.begin, first.end};
}

}  // namespace longspan::kernels::cuda
