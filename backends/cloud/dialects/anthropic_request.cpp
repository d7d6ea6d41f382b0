#include "backends/cloud/dialects/anthropic.h"
#include "backends/cloud/dialects/anthropic_thinking.h"
#include "backends/cloud/dialects/anthropic_turns.h"
#include "backends/cloud/dialects/members.h"
#include "backends/contract/openai_fields.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace spillway::cloud::anthropic {

namespace {

using nlohmann::ordered_json;

constexpr int kTokensUnasked = 8'192;  // This protocol wants a limit; chat completions need none.

// Fields that would change the answer and that messages do not have.
constexpr std::array<std::string_view, 10> kUnsayable = {
    "audio",      "function_call", "functions", "logit_bias",   "modalities",
    "moderation", "prediction",    "seed",      "top_logprobs", "verbosity"};

constexpr std::string_view kModalities = "modalities";

// Of the others, those that it is not told.
constexpr std::array<std::string_view, 5> kHints = {
    "metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "store"};

// What names classes here, and would buy a dearer answer there.
constexpr std::array<std::string_view, 2> kOurs = {"service_tier", "speed"};

constexpr std::string_view kStrange = "a field of this type";

constexpr std::string_view kPlace = "inference_geo";

Error refuse(std::string_view what, std::string field = "") {
  return Error{Errc::unsupported,
               "a provider that speaks Anthropic's messages cannot take " + std::string(what),
               std::move(field), std::nullopt};
}

template <class List>
bool lists(const List& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

int most_tokens(const ChatRequest& request) { return request.sampling.tokens_max.value_or(1); }

// Thinking that takes more than may be paid for is refused there, in words about another field.
Result<void> check_thinking(const ChatRequest& request, std::string_view body) {
  const auto budget = member_of(member_of(body, "thinking"), "budget_tokens");
  if (!request.cut_short || budget.empty() || count_of(budget) < most_tokens(request)) return {};
  return refuse("'thinking' of more tokens than what is left of the budget pays for", "thinking");
}

Result<std::string> forwarded(const ChatRequest& request, std::string_view model,
                              const Manner& manner) {
  const std::string& said = request.original->body;
  if (const auto thinks = check_thinking(request, said); !thinks) return thinks.error();
  const auto fields = fields_of(said);
  if (!fields) return fields.error();
  std::string body = R"({"model":)" + quoted(model);
  body.reserve(said.size() + model.size() + 48);
  const std::string limit = request.cut_short ? std::to_string(most_tokens(request))
                                              : std::string(member_of(said, "max_tokens"));
  if (!limit.empty()) body.append(",\"max_tokens\":").append(limit);
  for (const Field& field : *fields) {
    if (field.key == "model" || field.key == "max_tokens") continue;
    const bool is_named = lists(manner.forward_fields, field.key);  // By the operator.
    if (!is_named && lists(kOurs, field.key)) continue;
    if (!is_named && field.key == kPlace && field.value != "null")
      return refuse("'inference_geo', which changes the price", std::string(kPlace));
    body.append(",\"").append(field.written).append("\":");
    body.append(field.key == "messages" ? without_unsigned_thinking(field.value) : field.value);
  }
  body.push_back('}');
  return body;
}

bool is_given(const ordered_json& chat, std::string_view name) {
  const auto found = chat.find(name);
  return found != chat.end() && !found->is_null();
}

bool is(const ordered_json& chat, std::string_view name, const ordered_json& value) {
  return is_given(chat, name) && chat[std::string(name)] == value;
}

// Whether the operator says that the provider takes what messages are not known to have.
bool is_forwarded(std::string_view field, const ChatRequest& request, const Manner& manner) {
  return lists(manner.forward_fields, field) ||
         (lists(manner.forward_fields, "*") && lists(request.unknown, field));
}

// Else they are ["text"], what all answers are.
bool wants_audio(const ordered_json& modalities) {
  return std::find(modalities.begin(), modalities.end(), "audio") != modalities.end();
}

// The first field that messages have no words for, or nothing.
std::string unsayable(const ChatRequest& request, const ordered_json& chat, const Manner& manner) {
  for (const FieldNeed& one : request.beyond) {
    const bool is_known = one.field == "top_k" || one.field == "thinking";
    if (!is_known && !is_forwarded(one.field, request, manner)) return std::string(one.field);
  }
  for (const std::string_view name : kUnsayable) {
    if (!is_given(chat, name) || chat[std::string(name)].empty()) continue;
    if (name != kModalities || wants_audio(chat[std::string(name)])) return std::string(name);
  }
  for (const char* name : {"frequency_penalty", "presence_penalty"}) {
    if (is_given(chat, name) && chat[name] != 0) return name;
  }
  if (is_given(chat, "n") && chat["n"] != 1) return "n";
  return is(chat, "logprobs", true) ? "logprobs" : "";
}

void write_sampling(const ChatRequest& request, const ordered_json& chat, ordered_json& out) {
  out["max_tokens"] = request.sampling.tokens_max.value_or(kTokensUnasked);
  if (request.stream) out["stream"] = true;
  // Chat completions go up to 2, where messages end at 1.
  if (is_given(chat, "temperature"))
    out["temperature"] = std::min(1.0, request.sampling.temperature);
  if (is_given(chat, "top_p")) out["top_p"] = chat["top_p"];
  if (request.sampling.top_k > 0) out["top_k"] = request.sampling.top_k;
  if (!request.sampling.stop.empty()) out["stop_sequences"] = request.sampling.stop;
  for (const char* name : {"safety_identifier", "user"}) {
    if (is_given(chat, name)) out["metadata"] = {{"user_id", chat[name]}};
  }
}

// The thoughts before the calls that are answered here had a signature, which chat completions
// cannot give back: without them Anthropic refuses to think on.
bool is_within_a_turn(const ordered_json& messages) {
  const auto last = std::find_if(
      messages.rbegin(), messages.rend(),
      [](const ordered_json& message) { return message.value("role", "") == "assistant"; });
  return last != messages.rend() && is_given(*last, "tool_calls") && !(*last)["tool_calls"].empty();
}

void write_effort(const ordered_json& chat, ordered_json& out) {
  const bool thinks = is_given(chat, "thinking") && !is_within_a_turn(chat["messages"]);
  if (thinks) out["thinking"] = chat["thinking"];
  if (!is_given(chat, "reasoning_effort") || chat["reasoning_effort"] == "none") return;
  const bool least = chat["reasoning_effort"] == "minimal";
  out["output_config"]["effort"] = least ? ordered_json("low") : chat["reasoning_effort"];
}

std::string write_format(const ordered_json& chat, ordered_json& out) {
  if (!is_given(chat, "response_format")) return {};
  const ordered_json& format = chat["response_format"];
  const std::string type = format.value("type", "");
  if (type == "text") return {};
  if (type != "json_schema") return "response_format '" + type + "'";
  out["output_config"]["format"] = {
      {"type", "json_schema"},
      {"schema", format["json_schema"].value("schema", ordered_json::object())}};
  return {};
}

std::string write_tools(const ordered_json& chat, ordered_json& out) {
  if (!is_given(chat, "tools")) return {};
  for (const ordered_json& tool : chat["tools"]) {
    const std::string type = tool.value("type", "");
    if (type != "function") return "a tool of type '" + type + "'";
    const ordered_json& function = tool["function"];
    ordered_json own = {{"name", function["name"]}};
    if (is_given(function, "description")) own["description"] = function["description"];
    own["input_schema"] =
        is_given(function, "parameters")
            ? function["parameters"]
            : ordered_json{{"type", "object"}, {"properties", ordered_json::object()}};
    if (is(function, "strict", true)) own["strict"] = true;
    out["tools"].push_back(std::move(own));
  }
  return {};
}

std::string write_choice(const ordered_json& chat, ordered_json& out) {
  ordered_json choice;
  if (is_given(chat, "tool_choice")) {
    const ordered_json& said = chat["tool_choice"];
    if (said == "required") choice["type"] = "any";
    if (said == "auto" || said == "none") choice["type"] = said;
    if (said.is_object()) {
      if (said.value("type", "") != "function") return "this tool_choice";
      choice = {{"type", "tool"}, {"name", said["function"]["name"]}};
    }
  }
  if (is(chat, "parallel_tool_calls", false) && is_given(chat, "tools")) {
    if (choice.is_null()) choice["type"] = "auto";
    if (choice["type"] != "none") choice["disable_parallel_tool_use"] = true;
  }
  if (!choice.is_null()) out["tool_choice"] = std::move(choice);
  return {};
}

std::string write_messages(const ordered_json& chat, ordered_json& out) {
  return write_turns(chat["messages"], out);
}

// Says what it cannot say of `field`, or nothing.
struct Writer {
  std::string_view field;
  std::string (*write)(const ordered_json& chat, ordered_json& out);
};

constexpr std::array<Writer, 4> kWriters = {{{"response_format", write_format},
                                             {"tools", write_tools},
                                             {"tool_choice", write_choice},
                                             {"messages", write_messages}}};

std::string unwritten(const Writer& one, const ordered_json& chat, ordered_json& out) {
  try {
    return one.write(chat, out);
  } catch (const ordered_json::exception&) {
    return std::string(kStrange);
  }
}

void write_forwarded(const ChatRequest& request, const ordered_json& chat, const Manner& manner,
                     ordered_json& out) {
  for (const auto& [name, value] : chat.items()) {
    const bool is_free = !out.contains(name) && !value.is_null() && name != "messages";
    if (is_free && is_forwarded(name, request, manner)) out[name] = value;
  }
}

Result<std::string> translated(const ChatRequest& request, std::string_view model,
                               const Manner& manner) {
  if (const auto thinks = check_thinking(request, request.body); !thinks) return thinks.error();
  const ordered_json chat = ordered_json::parse(request.body);
  if (const std::string field = unsayable(request, chat, manner); !field.empty())
    return refuse(field, field);
  ordered_json out = {{"model", model}};
  write_sampling(request, chat, out);
  write_effort(chat, out);
  for (const Writer& one : kWriters) {
    const std::string cannot = unwritten(one, chat, out);
    if (!cannot.empty()) return refuse(cannot, std::string(one.field));
  }
  write_forwarded(request, chat, manner, out);
  if (!request.begun.empty())
    out["messages"].push_back({{"role", "assistant"}, {"content", request.begun}});
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

bool is_forwarded(const ChatRequest& request) {
  return request.original && request.original->protocol == "messages" && request.begun.empty();
}

// What only tells a provider of chats who asks, or what it may do better.
std::vector<std::string> left_out(const ChatRequest& request, const Manner& manner) {
  std::vector<std::string> names = request.hints;
  MemberReader reader(request.body);
  while (const auto member = reader.next()) {
    std::string key = text_of_key(member->key);
    const bool is_hint = lists(kHints, key);
    const bool is_known = is_known_field(request.endpoint, key) && !is_hint;
    const bool is_idle = member->value == "null" || (is_hint && member->value == "false");
    if (is_known || is_idle || is_forwarded(key, request, manner)) continue;
    names.push_back(std::move(key));
  }
  for (const std::string_view field : left_out_of_turns(member_of(request.body, "messages")))
    names.emplace_back(field);
  return names;
}

Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                 const Manner& manner) {
  if (is_forwarded(request)) return forwarded(request, model, manner);
  try {
    return translated(request, model, manner);
  } catch (const ordered_json::exception&) {
    return refuse(kStrange);
  }
}

}  // namespace spillway::cloud::anthropic
