#include "backends/local/template/message_value.h"

#include "backends/local/template/json_value.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace spillway::templates {
namespace {

using Entries = std::vector<std::pair<Value, Value>>;

std::string_view role_name(Role role) {
  switch (role) {
    case Role::system: return "system";
    case Role::developer: return "developer";
    case Role::user: return "user";
    case Role::assistant: return "assistant";
    case Role::tool: return "tool";
  }
  return "user";
}

void add(Entries& entries, std::string key, Value value) {
  entries.emplace_back(Value(std::move(key)), std::move(value));
}

void add_input(Entries& entries, std::string key, const std::string& text) {
  add(entries, std::move(key), Value(MarkedText(text, true)));
}

// Ids of other models become nine letters and digits, equal ones the same.
std::string short_id(const std::string& id) {
  constexpr std::size_t kLetters = 9;
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  const auto is_allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  if (id.size() == kLetters && std::all_of(id.begin(), id.end(), is_allowed)) return id;
  std::uint64_t hash = 14'695'981'039'346'656'037u;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211u;
  std::string letters;
  for (; letters.size() < kLetters; hash /= kDigits.size())
    letters += kDigits[hash % kDigits.size()];
  return letters;
}

std::string id_of(const std::string& id, const EarlierCalls& manner) {
  return manner.short_ids ? short_id(id) : id;
}

// So few names and texts that a tree of them costs nobody time.
bool is_modest(std::string_view json) {
  constexpr std::size_t kBytesMax = 1 << 20, kQuotesMax = 1'024;
  std::size_t quotes = 0;
  for (std::size_t at = 0; at < json.size(); ++at) {
    if (json[at] == '\\')
      ++at;
    else
      quotes += json[at] == '"' ? 1 : 0;
  }
  return json.size() <= kBytesMax && quotes <= kQuotesMax;
}

// What is no JSON, or too much of it, stays text.
Value arguments_of(const ToolCall& call, const EarlierCalls& manner) {
  if (!manner.text_arguments && is_modest(call.arguments)) {
    if (auto value = value_from_json(call.arguments)) return std::move(*value);
  }
  return Value(MarkedText(call.arguments, true));
}

Value value_of(const ToolCall& call, const EarlierCalls& manner) {
  Entries function;
  add_input(function, "name", call.name);
  add(function, "arguments", arguments_of(call, manner));
  Entries entries;
  add_input(entries, "id", id_of(call.id, manner));
  add(entries, "type", Value(std::string("function")));
  add(entries, "function", Value::dict(std::move(function)));
  return Value::dict(std::move(entries));
}

}  // namespace

Value value_of(const Message& message, const MessageManner& manner) {
  const bool renamed = message.role == Role::developer && !manner.knows_developer;
  const bool is_none = manner.calls.no_content && message.content.empty() && !message.calls.empty();
  Entries entries;
  add(entries, "role", Value(std::string(renamed ? "system" : role_name(message.role))));
  add(entries, "content", is_none ? Value(None{}) : Value(MarkedText(message.content, true)));
  if (!message.name.empty()) add_input(entries, "name", message.name);
  if (!message.reasoning.empty()) add_input(entries, "reasoning_content", message.reasoning);
  if (!message.call_id.empty())
    add_input(entries, "tool_call_id", id_of(message.call_id, manner.calls));
  if (!message.calls.empty()) {
    std::vector<Value> calls;
    for (const ToolCall& call : message.calls) calls.push_back(value_of(call, manner.calls));
    add(entries, "tool_calls", Value::list(std::move(calls)));
  }
  return Value::dict(std::move(entries));
}

}  // namespace spillway::templates
