#include "gateway/anthropic/messages_request.h"

#include "gateway/anthropic/conversation.h"
#include "gateway/anthropic/hints.h"
#include "gateway/anthropic/tools.h"
#include "gateway/wire/asked_besides.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

namespace spillway::anthropic {
namespace {

using nlohmann::ordered_json;
using wire::Fields;
using wire::Json;

constexpr int kThinkingMin = 1'024;
constexpr int kThinkingLow = 4'096, kThinkingMedium = 16'384;  // Budgets of "low" and "medium".
constexpr std::size_t kStopsMax = 4;                           // Of chat completions.
constexpr std::size_t kStopsTaken = 1'000;

// Sorted. Those that are said in chat's words, or need none.
constexpr std::array<std::string_view, 18> kUnderstood = {
    "cache_control", "context_management", "max_tokens",  "messages",       "metadata", "model",
    "output_config", "service_tier",       "speed",       "stop_sequences", "stream",   "system",
    "temperature",   "thinking",           "tool_choice", "tools",          "top_k",    "top_p",
};

void read_stops(Fields& request, ordered_json& chat, Beyond& beyond) {
  Json* stops = request.array("stop_sequences", kStopsTaken);
  if (stops == nullptr || stops->empty()) return;
  for (std::size_t i = 0; i < stops->size(); ++i) {
    const bool text = (*stops)[i].is_string() && !(*stops)[i].get_ref<std::string&>().empty();
    if (!text)
      request.fail(Fields::element_name("stop_sequences", i), "must be a text that is not empty");
  }
  if (stops->size() > kStopsMax) {
    beyond.add("more than 4 stop_sequences");
  } else {
    chat["stop"] = *stops;
  }
}

void read_sampling(Fields& request, ordered_json& chat) {
  if (const auto heat = request.number("temperature", {0, 1})) chat["temperature"] = *heat;
  if (const auto share = request.number("top_p", {0, 1})) chat["top_p"] = *share;
  const auto most = request.integer("top_k", 0, std::numeric_limits<int>::max());
  if (most) chat["top_k"] = *most;
}

void read_limit(Fields& request, Limit limit, ordered_json& chat) {
  if (limit == Limit::required && request.any("max_tokens") == nullptr)
    request.fail("max_tokens", "is required");
  const auto most = request.integer("max_tokens", 1, std::numeric_limits<int>::max());
  if (most) chat["max_completion_tokens"] = *most;
}

std::string_view effort_of(int thinking_tokens) {
  if (thinking_tokens <= kThinkingLow) return "low";
  return thinking_tokens <= kThinkingMedium ? "medium" : "high";
}

void read_thinking(Fields& request, std::optional<Error>& error, ordered_json& chat) {
  Json* thinking = request.object("thinking");
  if (thinking == nullptr) return;
  Fields fields(*thinking, "thinking.", error);
  if (fields.any("type") == nullptr) fields.fail("type", "is required");
  const auto type = fields.one_of("type", {"enabled", "disabled", "adaptive", "between_tools"});
  fields.one_of("display", {"summarized", "omitted"});
  if (type != "enabled") return;
  if (fields.any("budget_tokens") == nullptr) fields.fail("budget_tokens", "is required");
  const auto budget =
      fields.integer("budget_tokens", kThinkingMin, std::numeric_limits<int>::max());
  if (!budget) return;
  const auto most = chat.find("max_completion_tokens");
  if (most != chat.end() && *budget >= most->get<int>())
    fields.fail("budget_tokens", "must be smaller than max_tokens");
  chat["reasoning_effort"] = effort_of(*budget);
}

void read_output(Fields& request, const ordered_json& said, std::optional<Error>& error,
                 ordered_json& chat) {
  Json* config = request.object("output_config");
  if (config == nullptr) return;
  Fields fields(*config, "output_config.", error);
  const auto effort = fields.one_of("effort", {"low", "medium", "high", "xhigh", "max"});
  if (effort) chat["reasoning_effort"] = *effort;
  Json* format = fields.object("format");
  if (format == nullptr) return;
  Fields shape(*format, "output_config.format.", error);
  if (shape.any("type") == nullptr) shape.fail("type", "is required");
  shape.one_of("type", {"json_schema"});
  if (shape.object("schema") == nullptr) return shape.fail("schema", "is required");
  chat["response_format"] = {{"type", "json_schema"},
                             {"json_schema",
                              {{"name", "output"},
                               {"strict", true},
                               {"schema", said["output_config"]["format"]["schema"]}}}};
}

// Which of the gateway's classes: as chat's service_tier says it.
void read_tier(Fields& request, ordered_json& chat) {
  const auto tier = request.one_of("service_tier", {"auto", "standard_only"});
  if (tier) chat["service_tier"] = *tier == "auto" ? "auto" : "default";
  if (request.one_of("speed", {"standard", "fast"}) == "fast") chat["service_tier"] = "fast";
}

void read_metadata(Fields& request, std::optional<Error>& error, ordered_json& chat) {
  Json* metadata = request.object("metadata");
  if (metadata == nullptr) return;
  Fields fields(*metadata, "metadata.", error);
  if (auto user = fields.string("user_id", 512)) chat["user"] = *user;
}

void find_unknown(const ordered_json& said, Beyond& beyond) {
  for (const auto& [name, value] : said.items()) {
    const bool says = !value.is_null() && !(value.is_structured() && value.empty());
    if (says && !std::binary_search(kUnderstood.begin(), kUnderstood.end(), name))
      beyond.add("'" + name + "'");
  }
}

// What the provider reads, or has read again, beside what is said here.
void find_unsent(const ordered_json& said, Beyond& beyond) {
  const auto is_given = [&said](std::string_view name) {
    const auto found = said.find(name);
    return found != said.end() && !found->is_null() && !found->empty() && *found != false;
  };
  const auto type_of = [](const ordered_json& object) {
    return object.is_object() ? object.value("type", ordered_json()) : ordered_json();
  };
  if (is_given("thread") && type_of(said["thread"]) == "continue")
    beyond.reads_unsent("earlier turns of a thread");
  if (is_given("mcp_servers")) beyond.reads_unsent("what MCP servers answer");
  if (is_given("web_search_options")) beyond.reads_unsent("what 'web_search_options' finds");
  if (!is_given("context_management") || !said["context_management"].is_object()) return;
  for (const ordered_json& edit :
       said["context_management"].value("edits", ordered_json::array())) {
    const ordered_json type = type_of(edit);
    if (type.is_string() && type.get_ref<const std::string&>().starts_with("compact"))
      beyond.reads_unsent("the prompt again for its compaction");
  }
}

}  // namespace

Result<MessagesRequest> parse_messages(std::string_view body, Limit limit) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  const ordered_json said = ordered_json::parse(body);
  std::optional<Error> error;
  Fields request(*json, "", error);
  MessagesRequest read;
  ordered_json chat;
  read.model = request.model();
  read.beyond.asks(wire::asked_besides(*json, read.model));
  chat["model"] = read.model;
  find_unknown(said, read.beyond);
  find_unsent(said, read.beyond);
  read.hints = hints_in(said);
  read_conversation(request, said, error, chat, read.beyond);
  read_limit(request, limit, chat);
  read_sampling(request, chat);
  read_stops(request, chat, read.beyond);
  read_thinking(request, error, chat);
  read_output(request, said, error, chat);
  read_tier(request, chat);
  read_metadata(request, error, chat);
  read_tools(request, said, error, chat, read.beyond);
  read.stream = request.boolean("stream").value_or(false);
  if (error) return *error;
  if (read.stream) chat["stream"] = true;
  read.chat = chat.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  return read;
}

}  // namespace spillway::anthropic
