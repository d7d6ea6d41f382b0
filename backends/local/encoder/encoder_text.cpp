#include "backends/local/encoder/encoder_text.h"

#include <algorithm>
#include <string>

namespace spillway::local {
namespace {

// A text with more is not read to find out how many tokens it has.
constexpr std::size_t kBytesPerTokenMost = 256;

Error too_long(std::size_t tokens_max) {
  return {Errc::context_too_long,
          "This model takes at most " + std::to_string(tokens_max) +
              " tokens an input, and this one has more. Divide it.",
          "input", std::nullopt};
}

Error no_tokens() {
  return {Errc::invalid_request, "An input has no tokens.", "input", std::nullopt};
}

}  // namespace

Result<EncoderText> EncoderText::from_folder(const loader::EncoderFolder& folder) {
  auto tokenizer = tokenizer::framed_tokenizer_from_json(folder.tokenizer);
  if (!tokenizer) return tokenizer.error();
  if (tokenizer->size() > folder.spec.vocabulary)
    return Error{Errc::internal, "tokenizer.json has more tokens than config.json's vocab_size"};
  const auto tokens_max = static_cast<std::size_t>(folder.spec.tokens_max);
  if (tokenizer->frame.before.size() + tokenizer->frame.after.size() >= tokens_max)
    return Error{Errc::internal, "tokenizer.json leaves no room for a text"};
  return EncoderText(std::move(*tokenizer), tokens_max);
}

Result<TokenIds> EncoderText::encode(std::string_view text) const {
  const auto& [before, after] = tokenizer_.frame;
  const std::size_t room = tokens_max_ - before.size() - after.size();
  if (text.size() > room * kBytesPerTokenMost) return too_long(tokens_max_);
  TokenIds ids = tokenizer_.encode(text, room);
  if (ids.size() > room) return too_long(tokens_max_);
  ids.insert(ids.begin(), before.begin(), before.end());
  ids.insert(ids.end(), after.begin(), after.end());
  if (ids.empty()) return no_tokens();
  return ids;
}

Result<void> EncoderText::check(const TokenIds& ids) const {
  if (ids.empty()) return no_tokens();
  if (ids.size() > tokens_max_) return too_long(tokens_max_);
  const auto wrong = std::ranges::find_if(
      ids, [this](std::int32_t id) { return id < 0 || id >= tokenizer_.size(); });
  if (wrong == ids.end()) return {};
  return Error{Errc::invalid_request, "This model has no token " + std::to_string(*wrong) + ".",
               "input", std::nullopt};
}

}  // namespace spillway::local
