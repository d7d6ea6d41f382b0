#include "gateway/responses/request.h"

#include "gateway/responses/items.h"
#include "gateway/responses/response_object.h"
#include "gateway/responses/tools.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;
using wire::Fields;
using wire::Json;

constexpr int kTokensMin = 16;
constexpr int kIntMax = std::numeric_limits<int>::max();
constexpr std::size_t kIncludesMax = 32;
constexpr std::size_t kModalitiesMax = 8;

// What nobody here can do: said, not dropped.
constexpr std::array<std::string_view, 10> kUnserved = {
    "prompt", "moderation",         "access_programs",    "image",         "messages",
    "n",      "context_management", "background_options", "function_call", "functions"};

// Sorted. Fields that are read here; all others are chat's own and go into it as they are.
constexpr std::array<std::string_view, 22> kRead = {
    "background",           "conversation",   "include",      "input",       "instructions",
    "max_output_tokens",    "max_tool_calls", "metadata",     "model",       "parallel_tool_calls",
    "previous_response_id", "reasoning",      "service_tier", "store",       "stream",
    "stream_options",       "temperature",    "text",         "tool_choice", "tools",
    "top_logprobs",         "truncation"};

class Reader {
 public:
  Reader(Json& json, const ordered_json& said) : said_(said), request_(json, "", error_) {}

  ResponseRequest read(std::string_view turn) {
    read_flags();
    read_limits();
    read_text();
    read_reasoning();
    read_includes();
    read_context();
    refuse_the_unserved();
    read_tools(request_, said_, error_, chat_, settings_);
    pass_the_rest();
    read_.input = read_input(request_, said_, turn, error_, read_.references);
    read_conversation();
    settings_["instructions"] = value("instructions", nullptr);
    read_.settings = settings_.dump();
    read_.chat = chat_.dump();
    return std::move(read_);
  }

  const std::optional<Error>& error() const { return error_; }

 private:
  ordered_json value(const char* name, ordered_json otherwise) const {
    const auto found = said_.find(name);
    return found == said_.end() || found->is_null() ? std::move(otherwise) : *found;
  }

  void read_flags() {
    read_.model = request_.model();
    chat_["model"] = read_.model;
    read_.stream = request_.boolean("stream").value_or(false);
    read_.store = request_.boolean("store").value_or(true);
    read_.background = request_.boolean("background").value_or(false);
    if (read_.background && !read_.store)
      request_.fail("background", "needs \"store\": true, to be found again");
    settings_["background"] = read_.background;
    settings_["store"] = read_.store;
    if (read_.stream) chat_["stream"] = true;
    Json* options = request_.object("stream_options");
    if (options == nullptr) return;
    if (!read_.stream) request_.fail("stream_options", "is allowed only with 'stream': true");
    Fields(*options, "stream_options.", error_).boolean("include_obfuscation");
  }

  void read_limits() {
    const auto most = request_.integer("max_output_tokens", kTokensMin, kIntMax);
    if (most) chat_["max_completion_tokens"] = *most;
    settings_["max_output_tokens"] = value("max_output_tokens", nullptr);
    request_.integer("max_tool_calls", 1, kIntMax);  // Of tools at OpenAI; none of those run here.
    settings_["max_tool_calls"] = value("max_tool_calls", nullptr);
    request_.number("temperature", {0, 2});
    request_.number("top_p", {0, 1});
    for (const char* name : {"temperature", "top_p"}) {
      settings_[name] = value(name, 1.0);
      if (said_.contains(name) && !said_[name].is_null()) chat_[name] = said_[name];
    }
    for (const char* name : {"frequency_penalty", "presence_penalty"})
      settings_[name] = value(name, 0.0);
    read_logprobs();
    const Json* kinds = request_.array("modalities", kModalitiesMax);
    if (kinds != nullptr && std::find(kinds->begin(), kinds->end(), "audio") != kinds->end())
      request_.fail("modalities", "cannot have audio here: an answer is text");
  }

  void read_text() {
    settings_["text"] = {{"format", {{"type", "text"}}}, {"verbosity", "medium"}};
    Json* text = request_.object("text");
    if (text == nullptr) return;
    Fields fields(*text, "text.", error_);
    if (const auto words = fields.one_of("verbosity", {"low", "medium", "high"})) {
      settings_["text"]["verbosity"] = *words;
      chat_["verbosity"] = *words;
    }
    Json* format = fields.object("format");
    if (format == nullptr) return;
    settings_["text"]["format"] = said_["text"]["format"];
    Fields shape(*format, "text.format.", error_);
    if (shape.any("type") == nullptr) shape.fail("type", "is required");
    const auto type = shape.one_of("type", {"text", "json_object", "json_schema"});
    if (type == "json_object") chat_["response_format"] = {{"type", "json_object"}};
    if (type != "json_schema") return;
    shape.required_string("name");
    if (shape.object("schema") == nullptr) return shape.fail("schema", "is required");
    ordered_json schema = said_["text"]["format"];
    schema.erase("type");
    chat_["response_format"] = {{"type", "json_schema"}, {"json_schema", std::move(schema)}};
  }

  void read_reasoning() {
    settings_["reasoning"] = {{"effort", nullptr}, {"summary", nullptr}};
    Json* reasoning = request_.object("reasoning");
    if (reasoning == nullptr) return;
    Fields fields(*reasoning, "reasoning.", error_);
    const auto effort =
        fields.one_of("effort", {"none", "minimal", "low", "medium", "high", "xhigh", "max"});
    if (effort) settings_["reasoning"]["effort"] = chat_["reasoning_effort"] = *effort;
    auto summary = fields.one_of("summary", {"auto", "concise", "detailed"});
    const auto older = fields.one_of("generate_summary", {"auto", "concise", "detailed"});
    if (!summary) summary = older;
    if (summary) settings_["reasoning"]["summary"] = *summary;
    read_.summary = summary.has_value();
  }

  void read_logprobs() {
    const auto top = request_.integer("top_logprobs", 0, 20);
    settings_["top_logprobs"] = top.value_or(0);
    if (top.value_or(0) > 0) chat_["logprobs"] = true;
    if (top.value_or(0) > 0) chat_["top_logprobs"] = *top;
    if (request_.boolean("logprobs").value_or(false))
      request_.fail("logprobs", "is chat's: say \"include\": [\"message.output_text.logprobs\"]");
  }

  void read_includes() {
    const Json* include = request_.array("include", kIncludesMax);
    for (std::size_t i = 0; include != nullptr && i < include->size(); ++i) {
      const bool are_logprobs = (*include)[i] == "message.output_text.logprobs";
      const bool is_thought = (*include)[i] == "reasoning.encrypted_content";
      if (are_logprobs) chat_["logprobs"] = true;
      if (is_thought) read_.portable = true;
      if (!are_logprobs && !is_thought)
        request_.fail(Fields::element_name("include", i), "cannot be included here");
    }
  }

  void read_context() {
    read_.previous = request_.string("previous_response_id").value_or("");
    settings_["previous_response_id"] = value("previous_response_id", nullptr);
    request_.one_of("truncation", {"auto", "disabled"});
    settings_["truncation"] = value("truncation", "disabled");
    request_.metadata();
    settings_["metadata"] = value("metadata", ordered_json::object());
    settings_["service_tier"] = value("service_tier", "auto");
    if (said_.contains("service_tier")) chat_["service_tier"] = said_["service_tier"];
    for (const char* name :
         {"prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user"})
      settings_[name] = value(name, nullptr);
    const auto instructions = request_.string("instructions");
    if (instructions) chat_["instructions"] = *instructions;
  }

  void read_conversation() {
    const Json* named = request_.any("conversation");
    if (named == nullptr) return;
    const Json* id = named->is_object() && named->contains("id") ? &(*named)["id"] : named;
    if (!id->is_string() || *id == "")
      return request_.fail("conversation", "must be a conversation's id, or an object with its id");
    read_.conversation = id->get<std::string>();
    settings_["conversation"] = {{"id", read_.conversation}};
    if (!read_.previous.empty())
      request_.fail("conversation", "cannot stand beside 'previous_response_id'");
    if (std::any_of(read_.references.begin(), read_.references.end(),
                    [](const Reference& one) { return one.must_be_kept; }))
      request_.fail("input", "cannot name items of earlier turns beside 'conversation'");
  }

  void refuse_the_unserved() {
    for (const std::string_view name : kUnserved) {
      if (request_.any(name) != nullptr)
        request_.fail(name, "is not supported: leave it out", kNotServed);
    }
  }

  void pass_the_rest() {
    for (const auto& [name, value] : said_.items()) {
      if (!std::binary_search(kRead.begin(), kRead.end(), name) && !chat_.contains(name))
        chat_[name] = value;
    }
  }

  const ordered_json& said_;
  std::optional<Error> error_;
  Fields request_;
  ResponseRequest read_;
  ordered_json settings_;
  ordered_json chat_;
};

}  // namespace

Result<ResponseRequest> parse_response_request(std::string_view body, std::string_view turn) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  const ordered_json said = ordered_json::parse(body);
  Reader reader(*json, said);
  ResponseRequest read = reader.read(turn);
  if (reader.error()) return *reader.error();
  return read;
}

std::string with_referenced(const std::string& input, const std::vector<std::string>& referenced) {
  if (referenced.empty()) return input;
  ordered_json items = ordered_json::parse(input);
  auto next = referenced.begin();
  for (ordered_json& item : items) {
    if (!names_another(item)) continue;
    if (!next->empty()) item = ordered_json::parse(*next);
    ++next;
  }
  return text_of(items);
}

Result<ChatBody> chat_body(const ResponseRequest& request, const std::vector<std::string>& before) {
  ordered_json chat = ordered_json::parse(request.chat);
  Messages messages;
  if (const auto said = chat.find("instructions"); said != chat.end()) {
    messages.instructions(*said);
    chat.erase("instructions");
  }
  for (const std::string& turn : before) {
    for (const ordered_json& item : ordered_json::parse(turn)) messages.add(item, "input");
  }
  std::size_t at = 0;
  for (const ordered_json& item : ordered_json::parse(request.input))
    messages.add(item, Fields::element_name("input", at++));
  if (const auto& wrong = messages.error()) return *wrong;
  const bool tools = chat.contains("tools") || messages.tools();
  chat["messages"] = messages.take();
  return ChatBody{text_of(chat), tools, messages.unsaid()};
}

}  // namespace spillway::responses
