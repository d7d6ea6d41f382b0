#include "gateway/openai/token_text.h"

#include "gateway/openai/messages.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <limits>
#include <utility>

namespace spillway::openai {
namespace {

constexpr std::size_t kTokensMax = 1'000'000;

}  // namespace

Result<std::shared_ptr<const ChatRequest>> parse_tokenize(std::string body) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  wire::Fields request(*json, "", error);
  auto chat = std::make_shared<ChatRequest>();
  chat->model = request.string("model").value_or("");
  if (request.any("messages") != nullptr) {
    read_messages(request, *chat, error);
  } else {
    chat->endpoint = Endpoint::completions;
    chat->prompts.push_back({.text = request.required_string("prompt")});
  }
  if (error) return *error;
  return std::shared_ptr<const ChatRequest>(std::move(chat));
}

Result<TokensToRead> parse_detokenize(std::string_view body) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  wire::Fields request(*json, "", error);
  TokensToRead asked;
  asked.model = request.string("model").value_or("");
  const wire::Json* list = request.required_array("tokens", kTokensMax);
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const wire::Json& token = (*list)[i];
    const bool good = token.is_number_unsigned() &&
                      token.get<std::uint64_t>() <= std::numeric_limits<std::int32_t>::max();
    if (!good) request.fail(wire::Fields::element_name("tokens", i), "must be a token id");
    asked.tokens.push_back(good ? token.get<std::int32_t>() : 0);
  }
  if (error) return *error;
  return asked;
}

std::string tokenize_answer(const std::vector<std::int32_t>& tokens, int context_max) {
  std::string out = R"({"count":)";
  wire::append_json_number(out, static_cast<std::int64_t>(tokens.size()));
  out += R"(,"max_model_len":)";
  wire::append_json_number(out, context_max);
  out += R"(,"tokens":[)";
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out += ",";
    wire::append_json_number(out, tokens[i]);
  }
  return out + "]}";
}

std::string detokenize_answer(std::string_view text) {
  std::string out = R"({"prompt":)";
  wire::append_json_string(out, text);
  return out + "}";
}

}  // namespace spillway::openai
