#include "gateway/openai/chat_response.h"
#include "gateway/openai/usage_text.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace spillway::openai {
namespace {

using Json = nlohmann::json;

// In place: an answer may come in many pieces.
void append(Json& text, const Json& more) {
  text.get_ref<std::string&>() += more.get_ref<const std::string&>();
}

// A tool call comes in pieces: the first names it, the others continue its arguments.
void merge_call(Json& call, const Json& piece) {
  for (const auto& [name, value] : piece.items()) {
    if (name == "index" || value.is_null()) continue;
    if (value.is_object()) {
      if (!call[name].is_object()) call[name] = Json::object();
      merge_call(call[name], value);
    } else if (value.is_string() && (name == "arguments" || name == "input") &&
               call.contains(name) && call[name].is_string()) {
      append(call[name], value);
    } else {
      call[name] = value;
    }
  }
}

void merge_calls(Json& calls, const Json& pieces) {
  constexpr std::size_t kCallsMax = 128;
  if (!calls.is_array()) calls = Json::array();
  for (const Json& piece : pieces) {
    if (!piece.is_object()) continue;
    const Json index = piece.value("index", Json(calls.size()));
    if (!index.is_number_unsigned() || index.get<std::size_t>() >= kCallsMax) continue;
    while (calls.size() <= index.get<std::size_t>()) calls.push_back(Json::object());
    merge_call(calls[index.get<std::size_t>()], piece);
  }
}

void merge_member(Json& message, const std::string& name, const Json& value) {
  if (name == "tool_calls" && value.is_array()) {
    merge_calls(message[name], value);
  } else if (value.is_string() && message.contains(name) && message[name].is_string()) {
    append(message[name], value);
  } else if (!value.is_null()) {
    message[name] = value;
  }
}

Json merged(const std::vector<std::string>& extras) {
  Json message = Json::object();
  for (const std::string& extra : extras) {
    const Json piece = Json::parse(extra, nullptr, false);
    if (!piece.is_object()) continue;
    for (const auto& [name, value] : piece.items()) merge_member(message, name, value);
  }
  return message;
}

// {"content":[…],"refusal":[…]} out of its pieces.
std::string joined(const std::vector<std::string>& pieces) {
  if (pieces.empty()) return "null";
  if (pieces.size() == 1) return pieces.front();
  Json whole = Json::object();
  for (const std::string& text : pieces) {
    const Json piece = Json::parse(text, nullptr, false);
    if (!piece.is_object()) continue;
    for (const auto& [name, value] : piece.items()) {
      Json& list = whole[name];
      if (value.is_array() && list.is_array()) {
        list.insert(list.end(), value.begin(), value.end());
      } else if (list.is_null()) {
        list = value;
      }
    }
  }
  return whole.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void append_extra(std::string& out, const Json& members) {
  for (const auto& [name, value] : members.items()) {
    if (name == "role" || name == "content" || name == "refusal") continue;
    out += ",";
    wire::append_json_string(out, name);
    out += ":" + value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

// Than by a text, which a provider then has null.
bool speaks_otherwise(const Json& members) {
  constexpr std::array kWays = {"tool_calls", "function_call", "refusal", "audio"};
  return std::any_of(kWays.begin(), kWays.end(), [&](const char* way) {
    const auto found = members.find(way);
    return found != members.end() && !found->empty() && *found != "";
  });
}

}  // namespace

void ChatAnswer::add(const Delta& delta) {
  const auto at = static_cast<std::size_t>(delta.choice);
  if (at >= choices_.size()) choices_.resize(at + 1);
  Choice& choice = choices_[at];
  choice.text += delta.text;
  choice.reasoning += delta.reasoning;
  if (!delta.extra.empty()) choice.extras.push_back(delta.extra);
  choice.calls_function |= calls_function(delta);
  if (!delta.logprobs.empty()) choice.logprobs.push_back(delta.logprobs);
  if (delta.finish) choice.finish = *delta.finish;
  if (delta.usage) usage_ = *delta.usage;
  remarks_.add(delta);
}

void ChatAnswer::append_message(const Choice& choice, std::string& out) {
  const Json extra = merged(choice.extras);
  out += R"({"role":"assistant","content":)";
  if (choice.text.empty() && speaks_otherwise(extra)) {
    out += "null";
  } else {
    wire::append_json_string(out, choice.text);
  }
  out += R"(,"refusal":)";
  const auto refusal = extra.find("refusal");
  const bool refused = refusal != extra.end() && refusal->is_string();
  wire::append_json_string_or_null(
      out, refused ? refusal->get_ref<const std::string&>() : std::string());
  if (!choice.reasoning.empty()) {
    out += R"(,"reasoning_content":)";
    wire::append_json_string(out, choice.reasoning);
  }
  append_extra(out, extra);
  out += "}";
}

void ChatAnswer::append_choice(std::size_t index, std::string& out) const {
  const Choice& choice = choices_[index];
  out += R"({"index":)";
  wire::append_json_number(out, static_cast<std::int64_t>(index));
  out += R"(,"message":)";
  append_message(choice, out);
  out += R"(,"logprobs":)" + joined(choice.logprobs) + R"(,"finish_reason":)";
  wire::append_json_string(out, name_of(choice.finish, choice.calls_function));
  append_members(out, remarks_.of_choice(index));
  out += "}";
}

std::string ChatAnswer::body(const ChatAnswerInfo& info) const {
  std::string out;
  out.reserve(choices_.front().text.size() + choices_.front().reasoning.size() + 640);
  out += R"({"id":)";
  wire::append_json_string(out, info.id);
  out += R"(,"object":"chat.completion","created":)";
  wire::append_json_number(out, info.created);
  out += R"(,"model":)";
  wire::append_json_string(out, info.model);
  if (!info.service_tier.empty()) {
    out += R"(,"service_tier":)";
    wire::append_json_string(out, info.service_tier);
  }
  out += R"(,"choices":[)";
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    if (i > 0) out += ",";
    append_choice(i, out);
  }
  out += R"(],"usage":)";
  append_usage(out, usage_, remarks_.of_usage());
  append_members(out, remarks_.of_answer());
  out += "}";
  return out;
}

}  // namespace spillway::openai
