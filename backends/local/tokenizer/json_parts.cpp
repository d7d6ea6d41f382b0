#include "backends/local/tokenizer/json_parts_internal.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

namespace spillway::tokenizer {
namespace {

constexpr std::int64_t kIdsMax = 1 << 22;
constexpr std::size_t kShownMax = 64;

// Of a token's name and its id.
const Json& first_of(const Json& pair) {
  static const Json kNone;
  return pair.is_array() && !pair.empty() ? pair[0] : kNone;
}

class FrameReader {
 public:
  explicit FrameReader(std::span<const std::string_view> tokens) : tokens_(tokens) {}

  Result<Frame> read(const Json& processor) {
    for (const Json* part : parts_of(processor, "processors")) {
      const auto done = read_part(*part);
      if (!done) return done.error();
    }
    return std::move(frame_);
  }

 private:
  Result<void> read_part(const Json& part) {
    const std::string_view type = text_at(part, "type");
    if (type == "ByteLevel") return {};  // Offsets into the text are not needed.
    if (type == "TemplateProcessing") return read_template(at_or_null(part, "single"));
    if (type != "BertProcessing" && type != "RobertaProcessing")
      return wrong("this post_processor is not supported: " + shown(part));
    const auto put = put_special(first_of(at_or_null(part, "cls")), frame_.before);
    return put ? put_special(first_of(at_or_null(part, "sep")), frame_.after) : put;
  }

  // [CLS] A [SEP]
  Result<void> read_template(const Json& single) {
    bool is_after = false;
    for (const Json& piece : single) {
      const Json& special = at_or_null(piece, "SpecialToken");
      is_after = is_after || special.is_null();
      if (special.is_null()) continue;
      const auto put =
          put_special(at_or_null(special, "id"), is_after ? frame_.after : frame_.before);
      if (!put) return put;
    }
    return {};
  }

  Result<void> put_special(const Json& name, std::vector<TokenId>& ids) const {
    const std::string_view text =
        name.is_string() ? std::string_view(name.get_ref<const std::string&>()) : "";
    const auto found = std::ranges::find(tokens_, text);
    if (text.empty() || found == tokens_.end())
      return wrong("post_processor names " + shown(name) + ", which is no token");
    ids.push_back(static_cast<TokenId>(found - tokens_.begin()));
    return {};
  }

  const std::span<const std::string_view> tokens_;
  Frame frame_;
};

std::string in_quotes(std::string_view text) {
  return '"' + std::string(text.substr(0, kShownMax)) + '"';
}

}  // namespace

Error wrong(const std::string& what) { return Error{Errc::internal, "tokenizer.json: " + what}; }

std::string_view text_at(const Json& object, std::string_view key) {
  const Json& value = at_or_null(object, key);
  return value.is_string() ? std::string_view(value.get_ref<const std::string&>())
                           : std::string_view();
}

bool is_set(const Json& object, std::string_view key) { return at_or_null(object, key) == true; }

std::vector<const Json*> parts_of(const Json& part, std::string_view list) {
  if (part.is_null()) return {};
  if (text_at(part, "type") != "Sequence") return {&part};
  std::vector<const Json*> parts;
  for (const Json& one : at_or_null(part, list))
    std::ranges::copy(parts_of(one, list), std::back_inserter(parts));
  return parts;
}

std::string_view pattern_of(const Json& part) {
  const Json& pattern = at_or_null(part, "pattern");
  const std::string_view regex = text_at(pattern, "Regex");
  return regex.empty() ? text_at(pattern, "String") : regex;
}

std::string_view prepend_scheme_of(const Json& metaspace) {
  const std::string_view scheme = text_at(metaspace, "prepend_scheme");
  if (!scheme.empty()) return scheme;
  return at_or_null(metaspace, "add_prefix_space") == false ? "never" : "always";
}

std::string shown(const Json& part) {
  return part.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 200);
}

Result<void> put_token(std::string_view text, const Json& id,
                       std::vector<std::string_view>& tokens) {
  if (!id.is_number_integer() || id < 0 || id >= kIdsMax)
    return wrong(in_quotes(text) + " has the id " + id.dump().substr(0, 32) +
                 ", not a whole number below " + std::to_string(kIdsMax));
  const auto index = id.get<std::size_t>();
  if (index >= tokens.size()) tokens.resize(index + 1);
  if (!tokens[index].empty() && tokens[index] != text)
    return wrong("id " + std::to_string(index) + " is " + in_quotes(tokens[index]) + " and " +
                 in_quotes(text));
  tokens[index] = text;
  return {};
}

Result<Frame> frame_of(const Json& json, std::span<const std::string_view> tokens) {
  return FrameReader(tokens).read(at_or_null(json, "post_processor"));
}

}  // namespace spillway::tokenizer
