#include "gateway/provider/asked.h"

#include "backends/contract/name_hash.h"
#include "backends/simulated/echo.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace spillway::provider {

namespace {

using Json = nlohmann::json;

constexpr int kTokensUnasked = 128;
constexpr int kTokensMax = 16'384;
constexpr int kTokensAtAGlance = 16;
constexpr int kTokensPerMessage = 4;  // Role and separators.
constexpr int kThoughts = 2;

Error refuse(std::string message, std::string param) {
  return Error{Errc::invalid_request, std::move(message), std::move(param), std::nullopt};
}

std::string text_of(const Json& message) {
  const auto content = message.find("content");
  if (content == message.end()) return {};
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  if (!content->is_array()) return text;
  for (const Json& part : *content) {
    if (part.is_object() && part.value("type", "") == "text") text += part.value("text", "");
  }
  return text;
}

bool flag(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

// As DeepSeek ("prefix" in the last message) and vLLM ("continue_final_message") ask for it.
std::string begun_in(const Json& body, const Json& last) {
  if (last.value("role", "") != "assistant") return {};
  const bool asked = flag(last, "prefix") || flag(body, "continue_final_message");
  return asked ? text_of(last) : std::string();
}

// An answer of min_tokens ends as soon as it may.
void read_length(const Json& body, Asked& asked) {
  const auto least = body.find("min_tokens");
  const bool ends_there = least != body.end() && least->is_number_integer();
  asked.completion_tokens =
      ends_there
          ? static_cast<int>(std::clamp<std::int64_t>(least->get<std::int64_t>(), 1, kTokensMax))
          : kTokensUnasked;
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    const auto found = body.find(name);
    if (found == body.end() || !found->is_number_integer()) continue;
    const auto wanted = std::clamp<std::int64_t>(found->get<std::int64_t>(), 1, kTokensMax);
    asked.completion_tokens = static_cast<int>(wanted);
    asked.limited = true;
  }
}

// The tool that `choice` leaves no way around, unless its result has just come.
std::string forced_tool(const Json& body, const Json& last, std::string_view any) {
  const auto choice = body.find("tool_choice");
  const auto tools = body.find("tools");
  if (choice == body.end() || tools == body.end() || tools->empty()) return {};
  if (last.value("role", "") == "tool" || last.dump().find("\"tool_result\"") != std::string::npos)
    return {};
  const bool is_any = *choice == any || (choice->is_object() && choice->value("type", "") == any);
  const Json& named = is_any ? tools->front() : *choice;
  if (!named.is_object()) return {};
  const auto function = named.find("function");
  return function == named.end() ? named.value("name", "") : function->value("name", "");
}

void read_messages(const Json& messages, Asked& asked) {
  std::uint64_t hash = 0;
  for (const Json& message : messages) {
    const std::string content = text_of(message);
    asked.prompt_tokens += kTokensPerMessage + simulated::count_tokens(content);
    hash = mixed(hash ^ hash_of_name(content));
    asked.beginnings.push_back({hash, asked.prompt_tokens});
    if (message.value("role", "") == "user" && !content.empty()) asked.prompt = content;
  }
}

Result<Asked> parse(std::string_view text, void (*read)(const Json&, Asked&)) try {
  const Json body = Json::parse(text, nullptr, false);
  if (!body.is_object()) return refuse("the body must be a JSON object", "");
  const auto messages = body.find("messages");
  if (messages == body.end() || !messages->is_array() || messages->empty()) {
    return refuse("messages must be a list that is not empty", "messages");
  }
  for (const Json& message : *messages) {
    if (!message.is_object()) return refuse("each message must be an object", "messages");
  }
  Asked asked;
  asked.model = body.value("model", "");
  asked.stream = flag(body, "stream");
  read_messages(*messages, asked);
  read_length(body, asked);
  read(body, asked);
  asked.thoughts = std::min(asked.thoughts, asked.completion_tokens - 1);
  return asked;
} catch (const Json::exception&) {
  return refuse("a field of the body has the wrong type", "");
}

void read_chat(const Json& body, Asked& asked) {
  const Json& last = body["messages"].back();
  const auto options = body.find("stream_options");
  if (options != body.end()) asked.include_usage = flag(*options, "include_usage");
  asked.begun = begun_in(body, last);
  if (body.contains("reasoning_effort") && body["reasoning_effort"] != "none")
    asked.thoughts = kThoughts;
  asked.tool = forced_tool(body, last, "required");
}

void read_anthropic(const Json& body, Asked& asked) {
  const Json& last = body["messages"].back();
  const auto system = body.find("system");
  if (system != body.end()) asked.prompt_tokens += simulated::count_tokens(system->dump());
  if (last.value("role", "") == "assistant") asked.begun = text_of(last);
  const auto thinking = body.find("thinking");
  if (thinking != body.end() && thinking->value("type", "") == "enabled")
    asked.thoughts = kThoughts;
  asked.tool = forced_tool(body, last, "any");
}

}  // namespace

Result<Asked> parse_asked(std::string_view body) { return parse(body, &read_chat); }

Result<Asked> parse_messages_asked(std::string_view body) { return parse(body, &read_anthropic); }

Asked glance(std::string_view body) {
  constexpr std::string_view kStream = "\"stream\":";
  Asked asked;
  asked.model = "instant";
  asked.prompt_tokens = simulated::count_tokens(body);
  asked.completion_tokens = kTokensAtAGlance;
  asked.include_usage = true;
  const std::size_t found = body.find(kStream);
  if (found == body.npos) return asked;
  const std::size_t value = body.find_first_not_of(" \t\r\n", found + kStream.size());
  asked.stream = value != body.npos && body.substr(value).starts_with("true");
  return asked;
}

}  // namespace spillway::provider
