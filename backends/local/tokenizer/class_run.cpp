#include "backends/local/tokenizer/class_run.h"

#include "backends/local/tokenizer/characters_internal.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>

namespace spillway::tokenizer {

// Reads a pattern from its start; each step says whether it found what it looks for.
class ClassRunReader {
 public:
  explicit ClassRunReader(std::string_view pattern) : rest_(pattern) {}

  std::optional<ClassRun> read() {
    run_.takes_space_ = skip(R"(\s?)");
    const bool is_read = (skip("[") ? read_members() : read_class()) && read_count();
    if (!is_read || !rest_.empty()) return std::nullopt;
    finish();
    return std::move(run_);
  }

 private:
  bool skip(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  bool read_class() {
    constexpr std::pair<std::string_view, ClassSet> kClasses[] = {
        {R"(\p{L})", kLetter},      {R"(\p{N})", kNumber}, {R"(\p{M})", kMark},
        {R"(\p{P})", kPunctuation}, {R"(\p{S})", kSymbol}, {R"(\s)", kSpace}};
    const auto found =
        std::ranges::find_if(kClasses, [this](const auto& one) { return skip(one.first); });
    if (found == std::end(kClasses)) return false;
    run_.classes_ |= found->second;
    return true;
  }

  // What stands in brackets, and the one that closes.
  bool read_members() {
    if (rest_.starts_with('^') || rest_.starts_with(']')) return false;
    while (!skip("]")) {
      if (read_class()) continue;
      const auto first = read_character();
      if (!first) return false;
      const auto last = skip("-") ? read_character() : first;
      if (!last || *last < *first) return false;
      run_.ranges_.emplace_back(*first, *last);
    }
    return true;
  }

  std::optional<char32_t> read_character() {
    if (skip(R"(\r)")) return U'\r';
    if (skip(R"(\n)")) return U'\n';
    const bool is_escaped = skip("\\");
    const Character character = character_at(rest_, 0);
    const bool is_mark = character.code < 128 && character.is(kPunctuation | kSymbol);
    const bool has_meaning =
        is_mark && std::string_view("[]^&-").find(rest_.front()) != std::string_view::npos;
    const bool is_plain = is_escaped ? is_mark : !has_meaning;
    if (!character.exists() || character.code > 0x10FFFF || !is_plain) return std::nullopt;
    rest_.remove_prefix(character.length);
    return character.code;
  }

  bool read_count() {
    if (skip("+")) return true;
    run_.count_max_ = 1;
    if (!skip("{1,")) return true;
    const auto [end, error] =
        std::from_chars(rest_.data(), rest_.data() + rest_.size(), run_.count_max_);
    if (error != std::errc() || run_.count_max_ == 0) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return skip("}");
  }

  void finish() {
    auto& ranges = run_.ranges_;
    std::ranges::sort(ranges);
    std::vector<std::pair<char32_t, char32_t>> apart;
    for (const auto& [first, last] : ranges) {
      if (!apart.empty() && first <= apart.back().second) {
        apart.back().second = std::max(apart.back().second, last);
      } else {
        apart.emplace_back(first, last);
      }
    }
    ranges = std::move(apart);
    for (char32_t code = 0; code < run_.ascii_.size(); ++code) {
      const auto within = [code](const auto& range) {
        return range.first <= code && code <= range.second;
      };
      run_.ascii_[code] =
          (kAscii[code] & run_.classes_) != 0 || std::ranges::any_of(ranges, within);
      run_.may_begin_[code] =
          run_.ascii_[code] || (run_.takes_space_ && (kAscii[code] & kSpace) != 0);
    }
  }

  std::string_view rest_;
  ClassRun run_;
};

std::optional<ClassRun> ClassRun::of_pattern(std::string_view pattern) {
  return ClassRunReader(pattern).read();
}

std::size_t ClassRun::match_end(std::string_view text, std::size_t at) const {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < may_begin_.size() && !may_begin_[byte]) return at;
  const Character first = takes_space_ ? character_at(text, at) : Character();
  if (first.is(kSpace)) {
    const std::size_t after = at + first.length;
    const std::size_t end = run_end(text, after);
    if (end > after) return end;
  }
  return run_end(text, at);
}

std::size_t ClassRun::find(std::string_view text, std::size_t at) const {
  while (at < text.size()) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const bool is_ascii = byte < may_begin_.size();
    if ((!is_ascii || may_begin_[byte]) && match_end(text, at) > at) break;
    at += is_ascii ? 1 : character_at(text, at).length;
  }
  return at;
}

bool ClassRun::holds(const Character& character) const {
  if (character.is(classes_)) return true;
  const auto above =
      std::ranges::upper_bound(ranges_, character.code, {}, &std::pair<char32_t, char32_t>::first);
  return above != ranges_.begin() && character.code <= std::prev(above)->second;
}

std::size_t ClassRun::run_end(std::string_view text, std::size_t at) const {
  for (std::size_t count = 0; at < text.size() && count < count_max_; ++count) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < ascii_.size()) {
      if (!ascii_[byte]) break;
      ++at;
      continue;
    }
    const Character c = character_at(text, at);
    if (!holds(c)) break;
    at += c.length;
  }
  return at;
}

}  // namespace spillway::tokenizer
