#include "gateway/openai/embedding_text.h"

#include "gateway/wire/base64.h"
#include "gateway/wire/json_text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

namespace spillway::openai {
namespace {

constexpr std::size_t kStepBytes = 64 << 10;
constexpr std::string_view kBlanks = " \t\r\n";

static_assert(std::endian::native == std::endian::little);

// Nothing: not all of them are numbers. `list` is without its brackets.
std::optional<std::string> base64_of_list(std::string_view list) {
  std::vector<float> numbers;
  const char *at = list.data(), *const end = at + list.size();
  const auto is_between = [](char c) { return c == ',' || kBlanks.find(c) != kBlanks.npos; };
  while ((at = std::find_if_not(at, end, is_between)) != end) {
    double number = 0.0;
    const auto [past, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return std::nullopt;
    numbers.push_back(static_cast<float>(number));
    at = past;
  }
  const auto* bytes = reinterpret_cast<const char*>(numbers.data());
  return wire::base64_of({bytes, numbers.size() * sizeof(float)});
}

void append_number(std::string& out, float number) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  std::array<char, 32> text{};
  const auto* const end =
      std::to_chars(text.data(), text.data() + text.size(), static_cast<double>(number)).ptr;
  const std::string_view digits(text.data(), static_cast<std::size_t>(end - text.data()));
  out += digits;
  if (digits.find_first_of(".e") == digits.npos) out += ".0";
}

// Nothing: they are no numbers.
std::optional<std::string> list_of_base64(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '\\');  // Before a slash: nothing else in base64 can be escaped for a reason.
  const auto bytes = wire::bytes_of_base64(plain);
  if (!bytes || bytes->size() % sizeof(float) != 0) return std::nullopt;
  std::string list = "[";
  for (std::size_t at = 0; at < bytes->size(); at += sizeof(float)) {
    float number = 0.0F;
    std::memcpy(&number, bytes->data() + at, sizeof(float));
    if (at > 0) list += ',';
    append_number(list, number);
  }
  return list + "]";
}

}  // namespace

bool EmbeddingText::step() {
  const std::size_t until = std::min(at_ + kStepBytes, text_.size());
  while (at_ < until) {
    const std::string_view piece = std::string_view(text_).substr(at_, until - at_);
    copy_to(at_ + std::min(piece.find_first_of("\"{}[]"), piece.size()));
    if (at_ == until) break;
    const char c = text_[at_];
    if (c == '"') {
      take_string();
      continue;
    }
    depth_ += c == '{' || c == '[' ? 1 : -1;
    copy_to(at_ + 1);
  }
  return at_ < text_.size();
}

// A value, or the name of a member whose value may be ours.
void EmbeddingText::take_string() {
  const std::size_t end = past_string(at_), colon = past_blanks(end);
  const std::string_view name = std::string_view(text_).substr(at_ + 1, end - at_ - 2);
  if (colon == text_.size() || text_[colon] != ':') return copy_to(end);
  const std::size_t value = past_blanks(colon + 1);
  copy_to(value);
  if (depth_ == 1) in_data_ = name == "data" && text_.compare(value, 1, "[") == 0;
  if (depth_ == 1 && name == "model") take_model(value);
  if (depth_ == 3 && in_data_ && name == "embedding") take_embedding();
}

void EmbeddingText::take_model(std::size_t value) {
  if (text_.compare(value, 1, "{") == 0 || text_.compare(value, 1, "[") == 0) return;
  const bool is_text = text_.compare(value, 1, "\"") == 0;
  at_ = is_text ? past_string(value) : std::min(text_.find_first_of(",}", value), text_.size());
  wire::append_json_string(out_, model_);
}

void EmbeddingText::take_embedding() {
  const std::string_view text(text_);
  const bool is_list = text.substr(at_, 1) == "[", is_text = text.substr(at_, 1) == "\"";
  if (!is_list && !is_text) return;
  const std::size_t end =
      is_text ? past_string(at_) : std::min(text.find(']', at_), text.size() - 1) + 1;
  const std::string_view inside = text.substr(at_ + 1, end - at_ - 2);
  if (is_list && inside.find('[') != inside.npos) return;
  std::optional<std::string> rewritten;
  if (is_list && encoding_ == Encoding::base64) {
    rewritten = base64_of_list(inside);
    if (rewritten) rewritten = '"' + *rewritten + '"';
  }
  if (is_text && encoding_ == Encoding::numbers) rewritten = list_of_base64(inside);
  if (!rewritten) return copy_to(end);
  out_ += *rewritten;
  at_ = end;
}

void EmbeddingText::copy_to(std::size_t end) {
  out_.append(text_, at_, end - at_);
  at_ = end;
}

std::size_t EmbeddingText::past_string(std::size_t at) const {
  for (++at; at < text_.size(); ++at) {
    at = std::min(text_.find_first_of("\"\\", at), text_.size());
    if (at == text_.size() || text_[at] == '"') break;
    ++at;
  }
  return std::min(at + 1, text_.size());
}

std::size_t EmbeddingText::past_blanks(std::size_t at) const {
  return std::min(text_.find_first_not_of(kBlanks, at), text_.size());
}

}  // namespace spillway::openai
