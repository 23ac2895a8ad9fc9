// Ends a text before the first occurrence of any of its stop strings.
//
// Tokens go in one by one. Those whose bytes may yet turn out to be part of a
// stop string are held back; the others come out in order. Works on bytes:
// characters need not be complete. Not thread-safe.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "worker/job/job_reporter.h"

namespace longspan::worker {

class StopMatcher {
 public:
  // Empty stop strings are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  // The tokens that are now certain. When a stop string is complete, the
  // text before it comes out (the last token's text may be cut) and stopped()
  // is true; nothing may be pushed after that.
  std::vector<GeneratedToken> Push(GeneratedToken token);

  // The text has ended otherwise: everything held back comes out.
  std::vector<GeneratedToken> Finish();

  bool stopped() const { return stopped_; }

 private:
  std::string HeldText() const;
  // Releases tokens that lie wholly before byte `end` of the held text.
  std::vector<GeneratedToken> Release(size_t end);

  std::vector<std::string> stops_;
  std::deque<GeneratedToken> held_;
  bool stopped_ = false;
};

}  // namespace longspan::worker
