#include "gateway/openai/token_text.h"

#include "gateway/openai/callable.h"
#include "gateway/openai/messages.h"
#include "gateway/openai/tools.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <limits>
#include <string_view>
#include <utility>

namespace spillway::openai {
namespace {

constexpr std::size_t kTokensMax = 1'000'000;

// Fields of vLLM's that only say what is done here anyhow.
void refuse_otherwise(wire::Fields& request, bool converses) {
  const std::pair<std::string_view, bool> always[] = {{"add_generation_prompt", true},
                                                      {"continue_final_message", false},
                                                      {"add_special_tokens", !converses},
                                                      {"return_token_strs", false}};
  for (const auto& [name, usual] : always) {
    if (request.boolean(name).value_or(usual) != usual)
      request.fail(name, usual ? "cannot be false here" : "cannot be true here",
                   "unsupported_value");
  }
  for (const std::string_view name : {"chat_template", "chat_template_kwargs"}) {
    if (request.any(name) != nullptr)
      request.fail(name, "cannot be given: the model's own template is used",
                   "unsupported_parameter");
  }
}

}  // namespace

Result<std::shared_ptr<const ChatRequest>> parse_tokenize(std::string body) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  wire::Fields request(*json, "", error);
  auto chat = std::make_shared<ChatRequest>();
  chat->model = request.string("model").value_or("");
  const bool converses = request.any("messages") != nullptr;
  refuse_otherwise(request, converses);
  if (converses) {
    read_messages(request, *chat, error);
    read_tools(request, *chat, error);
    read_callable(request, body, *chat);
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
