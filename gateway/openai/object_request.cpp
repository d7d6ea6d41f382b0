#include "gateway/openai/object_request.h"

#include "backends/contract/openai_fields.h"
#include "gateway/openai/hosted.h"
#include "gateway/openai/sampling.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"
#include "gateway/wire/normalized_bytes.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace spillway::openai {
namespace {

using wire::Fields;
using wire::Json;

// OpenAI's limits.
constexpr std::size_t kInputsMax = 2048;
constexpr std::size_t kTokensOfOneMax = 8192;
constexpr std::size_t kTokensMax = 300'000;
constexpr std::size_t kDocumentsMax = 10'000;
constexpr std::size_t kDocumentsOfAUnit = 100;  // What Cohere bills as one search.
constexpr std::size_t kTokensOfADocument =
    500;  // Longer ones are cut; a token has a byte at least.
constexpr std::size_t kTokensBesideAPair = 128;  // A template's, such as Qwen3-Reranker's.
constexpr std::string_view kModerationModel = "omni-moderation-latest";

bool is_token(const Json& value) { return value.is_number_unsigned(); }

void add_text(const Json& text, ChatRequest& chat) {
  Message message;
  message.content = text.get<std::string>();
  chat.messages.push_back(std::move(message));
}

// The tokens in a list of ids; 0 if it is none, or too long.
std::size_t tokens_in(const Json& value) {
  const bool good = value.is_array() && value.size() <= kTokensOfOneMax &&
                    std::all_of(value.begin(), value.end(), is_token);
  return good ? value.size() : 0;
}

// A text, texts, token ids, or lists of them.
void read_input(Fields& request, ChatRequest& chat) {
  const Json* input = request.any("input");
  if (input == nullptr) return request.fail_missing("input", "a string or an array");
  const bool one = input->is_string() || tokens_in(*input) > 0;
  const Json list = one ? Json::array({*input}) : *input;
  if (!list.is_array())
    return request.fail("input", "must be a string or an array", "invalid_type");
  if (list.empty()) return request.fail("input", "must not be empty");
  if (list.size() > kInputsMax) return request.fail("input", "must have at most 2048 elements");
  chat.inputs = static_cast<int>(list.size());
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string name = one ? "input" : Fields::element_name("input", i);
    if (list[i] == "") return request.fail(name, "must not be empty");
    if (list[i].is_string()) {
      add_text(list[i], chat);
      continue;
    }
    const std::size_t count = tokens_in(list[i]);
    if (count == 0) return request.fail(name, "must be a text or 1 to 8192 token ids");
    tokens += count;
  }
  if (tokens > kTokensMax) return request.fail("input", "must have at most 300000 tokens in all");
  chat.prompts.emplace_back().tokens.resize(tokens);  // Their number is all that is asked for here.
}

void read_embeddings(Fields& request, Question& question, ChatRequest& chat) {
  read_input(request, chat);
  const auto encoding = request.one_of("encoding_format", {"float", "base64"});
  question.encoding = encoding == "base64" ? Encoding::base64 : Encoding::numbers;
  request.integer("dimensions", 1, 1 << 20);
}

void read_moderations(Fields& request, ChatRequest& chat) {
  const Json* input = request.any("input");
  if (input == nullptr) return request.fail_missing("input", "a string or an array");
  if (input->is_string()) return add_text(*input, chat);
  if (!input->is_array() || input->empty())
    return request.fail("input", "must be a string or an array that is not empty");
  for (const Json& each : *input) {
    if (each.is_string()) add_text(each, chat);
    if (each.is_object() && each.contains("text") && each["text"].is_string())
      add_text(each["text"], chat);
    const auto type = each.is_object() ? each.find("type") : each.end();
    if (type == each.end() || *type != "image_url") continue;
    chat.needs |= Need::images;
    ++chat.media;
  }
}

// An object may have a name beside its text: whatever else it has may be read, a picture from its
// address even.
void read_document(const Json& document, Fields& request, ChatRequest& chat) {
  if (document.is_string()) return add_text(document, chat);
  if (!document.is_object() || !document.contains("text") || !document["text"].is_string())
    return request.fail("documents", "must be texts or objects with a text");
  add_text(document["text"], chat);
  const auto is_known = [](const auto& member) {
    return member.key() == "text" || (member.key() == "id" && member.value().is_primitive());
  };
  const auto members = document.items();
  if (!std::all_of(members.begin(), members.end(), is_known))
    chat.unsent = "what documents have beside their text";
}

void read_rerank(Fields& request, ChatRequest& chat) {
  const Json query(request.required_string("query"));
  add_text(query, chat);
  std::size_t query_bytes = wire::normalized_bytes_max(query.get_ref<const std::string&>());
  for (const char* beside : {"instruction", "instruct"})
    query_bytes += wire::normalized_bytes_max(request.string(beside).value_or(""));
  const Json* documents = request.required_array("documents", kDocumentsMax);
  if (documents == nullptr) return;
  if (documents->empty()) return request.fail("documents", "must not be empty");
  std::size_t pieces = 0;
  for (const Json& each : *documents) {
    const std::size_t before = chat.messages.size();
    read_document(each, request, chat);
    if (chat.messages.size() == before) return;
    // Each document is read beside the query.
    const std::size_t bytes =
        query_bytes + wire::normalized_bytes_max(chat.messages.back().content);
    pieces += 1 + bytes / kTokensOfADocument;
    chat.prompt_bytes += bytes + kTokensBesideAPair;
  }
  request.integer("top_n", 1, 1 << 30);
  chat.search_units = static_cast<int>((pieces + kDocumentsOfAUnit - 1) / kDocumentsOfAUnit);
}

}  // namespace

bool asks_embeddings(std::string_view body) {
  const auto json = wire::parse_object(body);
  return json && json->contains("input") && !json->contains("messages");
}

Result<Question> parse_object_request(Endpoint endpoint, std::string body) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  Fields request(*json, "", error);
  Question question;
  auto chat = std::make_shared<ChatRequest>();
  chat->endpoint = endpoint;
  const bool may_be_unnamed = endpoint == Endpoint::moderations && request.any("model") == nullptr;
  chat->model = may_be_unnamed ? std::string(kModerationModel) : request.model();
  if (endpoint == Endpoint::embeddings) read_embeddings(request, question, *chat);
  if (endpoint == Endpoint::moderations) read_moderations(request, *chat);
  if (endpoint == Endpoint::rerank) read_rerank(request, *chat);
  read_besides(*json, *chat);
  if (request.any("prompt_name") != nullptr) chat->unsent = "a prompt that the server keeps";
  read_beyond(request, *chat);
  read_unknown(*json, *chat);
  for (const std::string& field : chat->unknown) {
    if (is_embedded(endpoint, field)) chat->unsent = "what '" + field + "' brings";
  }
  request.string("user");
  chat->service_tier = request.string("service_tier").value_or("");
  if (error) return *error;
  chat->body = std::move(body);
  question.request = std::move(chat);
  return question;
}

}  // namespace spillway::openai
