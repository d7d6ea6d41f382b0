#include "backends/cloud/dialects/openai.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace spillway::cloud::openai {

namespace {

using Json = nlohmann::json;

constexpr int kNestingMax = 64;
constexpr int kChoicesMax = 128;  // OpenAI's limit of `n`.

// Json::dump recurses, so what is dumped later must be shallow.
bool nested_within(std::string_view text, int limit) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limit) return false;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return true;
}

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_of(const Json& object, const char* name) {
  const Json* value = member(object, name);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get_ref<const std::string&>();
  return value->is_number_integer() ? value->dump() : std::string();
}

int count_of(const Json& object, const char* name) {
  const Json* value = member(object, name);
  if (value == nullptr || !value->is_number()) return 0;
  constexpr double kMost = std::numeric_limits<int>::max();
  return static_cast<int>(std::clamp(value->get<double>(), 0.0, kMost));
}

std::optional<Usage> usage_of(const Json& answer) {
  const Json* object = member(answer, "usage");
  if (object == nullptr || !object->is_object()) return std::nullopt;
  Usage usage;
  usage.prompt_tokens = count_of(*object, "prompt_tokens");
  usage.completion_tokens = count_of(*object, "completion_tokens");
  if (const Json* details = member(*object, "prompt_tokens_details")) {
    usage.cached_tokens = count_of(*details, "cached_tokens");
  }
  // DeepSeek's name for the same.
  if (usage.cached_tokens == 0) usage.cached_tokens = count_of(*object, "prompt_cache_hit_tokens");
  if (const Json* details = member(*object, "completion_tokens_details")) {
    usage.reasoning_tokens = count_of(*details, "reasoning_tokens");
  }
  usage.cached_tokens = std::min(usage.cached_tokens, usage.prompt_tokens);
  usage.reasoning_tokens = std::min(usage.reasoning_tokens, usage.completion_tokens);
  return usage;
}

std::optional<FinishReason> finish_reason_of(std::string_view name) {
  if (name == "stop" || name == "eos" || name == "end_turn") return FinishReason::stop;
  if (name == "length" || name == "max_tokens") return FinishReason::length;
  if (name == "tool_calls" || name == "function_call") return FinishReason::tool_calls;
  if (name == "content_filter") return FinishReason::content_filter;
  return std::nullopt;
}

Complaint complaint_of(const Json& error) {
  if (error.is_string()) return Complaint{error.get<std::string>(), "", ""};
  return Complaint{text_of(error, "message"), text_of(error, "type"), text_of(error, "code")};
}

Parsed garbage() { return Parsed{.kind = Parsed::Kind::garbage}; }

Parsed complain(Complaint complaint) {
  return Parsed{.kind = Parsed::Kind::complaint, .complaint = std::move(complaint)};
}

bool is_known_member(std::string_view name) {
  return name == "role" || name == "content" || name == "reasoning_content" || name == "reasoning";
}

std::string extra_of(const Json& message) {
  Json extra;
  for (const auto& [name, value] : message.items()) {
    const bool says_nothing = value.is_null() || (value.is_array() && value.empty());
    if (!says_nothing && !is_known_member(name)) extra[name] = value;
  }
  return extra.is_null() ? std::string() : extra.dump();
}

// Fills `delta` from a `delta` or `message` object; false if it is none of this dialect.
bool read_message(const Json& message, Delta& delta) {
  if (!message.is_object()) return false;
  const Json* content = member(message, "content");
  if (content != nullptr && !content->is_string()) return false;
  if (content != nullptr) delta.text = content->get_ref<const std::string&>();
  delta.reasoning = text_of(message, "reasoning_content");
  if (delta.reasoning.empty()) delta.reasoning = text_of(message, "reasoning");
  delta.extra = extra_of(message);
  return true;
}

// Appends the choice to `parsed`, or turns `parsed` into the failure that it tells of.
void read_choice(const Json& choice, const char* message_name, Parsed& parsed) {
  Delta delta;
  delta.choice = count_of(choice, "index");
  const Json* message = member(choice, message_name);
  if (!choice.is_object() || delta.choice >= kChoicesMax) return void(parsed = garbage());
  if (message != nullptr && !read_message(*message, delta)) return void(parsed = garbage());

  const std::string reason = text_of(choice, "finish_reason");
  if (!reason.empty()) {
    delta.finish = finish_reason_of(reason);
    // Such as DeepSeek's insufficient_system_resource: the answer is cut, however well formed.
    if (!delta.finish) return void(parsed = complain({"the answer ended with " + reason, "", ""}));
  }
  const bool says_nothing = delta.text.empty() && delta.reasoning.empty() && delta.extra.empty();
  if (!says_nothing || delta.finish) parsed.deltas.push_back(std::move(delta));
}

Parsed parse_choices(std::string_view text, const char* message_name) {
  if (!nested_within(text, kNestingMax)) return garbage();
  const Json answer = Json::parse(text, nullptr, false);
  if (!answer.is_object()) return garbage();
  if (const Json* error = member(answer, "error")) return complain(complaint_of(*error));

  Parsed parsed;
  parsed.usage = usage_of(answer);
  const Json* choices = member(answer, "choices");
  if (choices == nullptr || !choices->is_array()) return parsed.usage ? parsed : garbage();
  for (const Json& choice : *choices) {
    read_choice(choice, message_name, parsed);
    if (parsed.kind != Parsed::Kind::pieces) return parsed;
  }
  return parsed;
}

}  // namespace

Parsed parse_chunk(std::string_view data) {
  if (data == "[DONE]") return Parsed{.kind = Parsed::Kind::done};
  return parse_choices(data, "delta");
}

Parsed parse_answer(std::string_view body) {
  Parsed parsed = parse_choices(body, "message");
  if (parsed.kind != Parsed::Kind::pieces) return parsed;
  const auto finished = [](const Delta& delta) { return delta.finish.has_value(); };
  const bool whole = std::all_of(parsed.deltas.begin(), parsed.deltas.end(), finished);
  return whole && !parsed.deltas.empty() ? parsed : garbage();
}

std::optional<Complaint> parse_complaint(std::string_view body) {
  const Json answer = Json::parse(body, nullptr, false);
  if (!answer.is_object()) return std::nullopt;
  if (const Json* error = member(answer, "error")) return complaint_of(*error);
  // FastAPI's and other frameworks' shapes.
  for (const char* name : {"message", "detail"}) {
    if (std::string text = text_of(answer, name); !text.empty()) return Complaint{text, "", ""};
  }
  return std::nullopt;
}

}  // namespace spillway::cloud::openai
