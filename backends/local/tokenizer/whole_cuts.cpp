#include "backends/local/tokenizer/whole_cuts.h"

#include "backends/local/tokenizer/unicode_classes.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <optional>

namespace spillway::tokenizer {
namespace {

constexpr std::size_t kCharacterBytesMax = 4;

struct Character {
  char32_t code;
  std::size_t length;
};

// Nothing where a text is at its end, or has a byte that is no character.
std::optional<Character> first_of(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto first = local::utf8::decode(text);
  if (first.quality != local::utf8::Quality::whole) return std::nullopt;
  return Character{first.code, first.length};
}

std::optional<Character> last_of(std::string_view text) {
  for (std::size_t length = 1; length <= std::min(kCharacterBytesMax, text.size()); ++length) {
    const auto last = first_of(text.substr(text.size() - length));
    if (last && last->length == length) return last;
  }
  return std::nullopt;
}

bool is_blank(const std::optional<Character>& one) {
  return one && (classes_of(one->code) & kSpace) != 0;
}

bool is_in_word(const std::optional<Character>& one) { return one && is_of_word(one->code); }

}  // namespace

WholeCuts::Cut WholeCuts::next() {
  for (; !stretches_.empty(); stretches_ = stretches_.subspan(1)) {
    const auto [stretch_end, control] = stretches_.front();
    while (at_ < stretch_end) {
      const std::size_t begin = at_++;
      if (!tokens_.may_start_with(text_[begin])) continue;
      const auto match = tokens_.at(text_.substr(begin), control ? stretch_end - begin : 0);
      if (match.id < 0) continue;
      at_ = begin + match.length;
      if (match.rules.single_word && !stands_alone(begin, at_)) continue;
      const std::size_t before = match.rules.takes_left ? without_blanks_before(begin) : begin;
      const Cut cut{told_, std::max(told_, before), match.id};
      told_ = match.rules.takes_right ? behind_blanks(at_) : at_;
      return cut;
    }
  }
  return {told_, text_.size(), -1};
}

bool WholeCuts::stands_alone(std::size_t begin, std::size_t end) const {
  return !is_in_word(last_of(text_.substr(0, begin))) && !is_in_word(first_of(text_.substr(end)));
}

std::size_t WholeCuts::without_blanks_before(std::size_t begin) const {
  while (begin > told_) {
    const auto last = last_of(text_.substr(told_, begin - told_));
    if (!is_blank(last)) break;
    begin -= last->length;
  }
  return begin;
}

// A token may be found among the blanks that one before it took.
std::size_t WholeCuts::behind_blanks(std::size_t end) {
  if (end < blanks_) return blanks_;
  for (auto first = first_of(text_.substr(end)); is_blank(first);
       first = first_of(text_.substr(end))) {
    end += first->length;
  }
  return blanks_ = end;
}

}  // namespace spillway::tokenizer
