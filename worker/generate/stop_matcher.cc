#include "worker/generate/stop_matcher.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "common/base/check.h"

namespace longspan::worker {
namespace {

size_t FirstMatch(const std::string& text,
                  const std::vector<std::string>& stops) {
  size_t first = std::string::npos;
  for (const std::string& stop : stops) {
    first = std::min(first, text.find(stop));
  }
  return first;
}

// Where the longest end of `text` begins that may become a stop string.
size_t FirstPartialMatch(std::string_view text,
                         const std::vector<std::string>& stops) {
  for (size_t begin = 0; begin < text.size(); ++begin) {
    const std::string_view end = text.substr(begin);
    for (const std::string& stop : stops) {
      if (std::string_view(stop).substr(0, end.size()) == end) return begin;
    }
  }
  return text.size();
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops)
    : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopMatcher::HeldText() const {
  std::string text;
  for (const GeneratedToken& token : held_) text += token.text;
  return text;
}

std::vector<GeneratedToken> StopMatcher::Release(size_t end) {
  std::vector<GeneratedToken> released;
  size_t begin = 0;
  while (!held_.empty() && begin + held_.front().text.size() <= end) {
    begin += held_.front().text.size();
    released.push_back(std::move(held_.front()));
    held_.pop_front();
  }
  if (stopped_ && begin < end) {
    held_.front().text.resize(end - begin);
    released.push_back(std::move(held_.front()));
  }
  return released;
}

std::vector<GeneratedToken> StopMatcher::Push(GeneratedToken token) {
  LONGSPAN_CHECK(!stopped_) << "a token after the stop string";
  held_.push_back(std::move(token));
  const std::string text = HeldText();
  const size_t match = FirstMatch(text, stops_);
  if (match == std::string::npos) {
    return Release(FirstPartialMatch(text, stops_));
  }
  stopped_ = true;
  std::vector<GeneratedToken> released = Release(match);
  held_.clear();
  return released;
}

std::vector<GeneratedToken> StopMatcher::Finish() {
  std::vector<GeneratedToken> rest(std::make_move_iterator(held_.begin()),
                                   std::make_move_iterator(held_.end()));
  held_.clear();
  return rest;
}

}  // namespace longspan::worker
