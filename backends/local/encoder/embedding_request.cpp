#include "backends/local/encoder/embedding_request.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <utility>

namespace spillway::local {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kNumberBytesMax = 24;

// Those that are read here, or say nothing of an embedding.
constexpr std::array<std::string_view, 8> kRead = {
    "dimensions",   "encoding_format", "input",          "model",
    "service_tier", "stream",          "stream_options", "user"};

Error wrong(std::string message, std::string param) {
  return {Errc::invalid_request, std::move(message), std::move(param), std::nullopt};
}

// Which of several inputs an error is of.
Error of_element(std::size_t i, Error error) {
  error.param += '[' + std::to_string(i) + ']';
  return error;
}

bool is_tokens(const Json& input) {
  const auto is_token = [](const Json& value) { return value.is_number_integer(); };
  return input.is_array() && !input.empty() && std::all_of(input.begin(), input.end(), is_token);
}

Result<TokenIds> ids_of(const Json& input, const EncoderText& text) {
  if (input.is_string()) return text.encode(input.get_ref<const std::string&>());
  if (!is_tokens(input)) return wrong("An input must be a text or token ids.", "input");
  TokenIds ids;
  for (const Json& one : input) {
    const auto id =
        one.get<double>();  // Whatever its size: what is no id is not exact, and too large.
    if (id < 0 || id > std::numeric_limits<std::int32_t>::max())
      return wrong("There is no token " + one.dump() + ".", "input");
    ids.push_back(static_cast<std::int32_t>(id));
  }
  const auto fits = text.check(ids);
  if (!fits) return fits.error();
  return ids;
}

void append(std::string& out, float number) {
  std::array<char, kNumberBytesMax> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  out.append(text.data(), end);
}

void append(std::string& out, const Embedding& embedding) {
  out += '[';
  for (const float number : embedding) {
    if (out.back() != '[') out += ',';
    append(out, number);
  }
  out += ']';
}

}  // namespace

Result<EmbeddingRequest> read_embedding_request(std::string_view body, const EncoderText& text) {
  const Json json = Json::parse(body, nullptr, false);
  const auto input = json.is_object() ? json.find("input") : json.end();
  if (!json.is_object() || input == json.end()) return wrong("There is no input.", "input");
  EmbeddingRequest request;
  const bool is_one = input->is_string() || is_tokens(*input);
  const Json list = is_one ? Json::array({*input}) : *input;
  if (!list.is_array() || list.empty())
    return wrong("The input must be a text, token ids, or a list of them.", "input");
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto ids = ids_of(list[i], text);
    if (!ids) return is_one ? ids.error() : of_element(i, ids.error());
    request.tokens += static_cast<int>(ids->size());
    request.inputs.push_back(std::move(*ids));
  }
  const auto dimensions = json.find("dimensions");
  if (dimensions == json.end() || dimensions->is_null()) return request;
  if (!dimensions->is_number_integer() || *dimensions < 1)
    return wrong("dimensions must be a whole number from 1 on.", "dimensions");
  request.dimensions = dimensions->get<std::size_t>();
  return request;
}

std::vector<std::string> unread_fields(std::string_view body) {
  // What their values hold is of no interest.
  const auto is_shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= 1; };
  const Json fields = Json::parse(body, is_shallow, false);
  std::vector<std::string> names;
  for (const auto& [name, value] : fields.items()) {
    const bool is_read = std::find(kRead.begin(), kRead.end(), name) != kRead.end();
    if (!is_read && !value.is_null()) names.push_back(name);
  }
  return names;
}

std::string embedding_answer(std::span<const Embedding> embeddings, std::string_view model,
                             int tokens) {
  std::string out = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    if (i > 0) out += ',';
    out += R"({"object":"embedding","index":)" + std::to_string(i) + R"(,"embedding":)";
    append(out, embeddings[i]);
    out += '}';
  }
  const std::string count = std::to_string(tokens);
  out += R"(],"model":)" + Json(model).dump(-1, ' ', false, Json::error_handler_t::replace);
  return out + R"(,"usage":{"prompt_tokens":)" + count + R"(,"total_tokens":)" + count + "}}";
}

}  // namespace spillway::local
