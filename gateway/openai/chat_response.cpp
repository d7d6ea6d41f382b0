#include "gateway/openai/chat_response.h"

#include "gateway/openai/usage_text.h"
#include "gateway/wire/json_text.h"

#include <algorithm>

namespace spillway::openai {
namespace {

constexpr std::string_view kRoleMembers = R"("role":"assistant","content":"","refusal":null)";

// `"a":1,"b":2` out of `{"a":1,"b":2}`.
std::string_view members_of(std::string_view object) {
  const auto open = object.find('{'), close = object.rfind('}');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return {};
  return object.substr(open + 1, close - open - 1);
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  if (text.empty()) return;
  if (!out.empty()) out += ",";
  out.append(name);
  wire::append_json_string(out, text);
}

}  // namespace

std::string chat_completion_id(std::string_view request_id) {
  const auto mark = request_id.find('_');
  const auto start = mark == std::string_view::npos ? 0 : mark + 1;
  return "chatcmpl-" + std::string(request_id.substr(start));
}

ChatWriter::ChatWriter(const ChatAnswerInfo& info)
    : include_usage_(info.include_usage), choices_(info.choices) {
  head_ = R"(data: {"id":)";
  wire::append_json_string(head_, info.id);
  head_ += R"(,"object":"chat.completion.chunk","created":)";
  wire::append_json_number(head_, info.created);
  head_ += R"(,"model":)";
  wire::append_json_string(head_, info.model);
  if (!info.service_tier.empty()) {
    head_ += R"(,"service_tier":)";
    wire::append_json_string(head_, info.service_tier);
  }
  prefix_ = head_ + R"(,"choices":[{"index":)";
  suffix_ = include_usage_ ? ",\"usage\":null}\n\n" : "}\n\n";
}

std::string ChatWriter::chunk(int choice, std::string_view delta_members,
                              std::string_view finish_reason, std::string_view logprobs,
                              const Beside* beside) const {
  std::string out;
  out.reserve(prefix_.size() + suffix_.size() + delta_members.size() + logprobs.size() + 64);
  out += prefix_;
  wire::append_json_number(out, choice);
  out += R"(,"delta":{)";
  out += delta_members;
  out += R"(},"logprobs":)";
  out += logprobs.empty() ? std::string_view("null") : logprobs;
  out += R"(,"finish_reason":)";
  wire::append_json_string_or_null(out, finish_reason);
  if (beside != nullptr) append_members(out, beside->choice);
  out += "}]";
  if (beside != nullptr) append_members(out, beside->answer);
  out += suffix_;
  return out;
}

std::string ChatWriter::first_chunks() const {
  std::string chunks;
  for (int choice = 0; choice < choices_; ++choice)
    chunks += chunk(choice, kRoleMembers, "", "", nullptr);
  return chunks;
}

std::string ChatWriter::delta(const Delta& delta) {
  remarks_.add(delta);
  if (calls_function(delta)) call_functions_.insert(delta.choice);
  std::string members;
  append_member(members, R"("reasoning_content":)", delta.reasoning);
  append_member(members, R"("content":)", delta.text);
  const std::string_view extra = members_of(delta.extra);
  if (!extra.empty() && !members.empty()) members += ",";
  members += extra;
  if (members.empty() && delta.logprobs.empty()) return members;
  return chunk(delta.choice, members, "", delta.logprobs,
               delta.finish ? nullptr : delta.beside.get());
}

std::string ChatWriter::finish(FinishReason reason, int choice) const {
  const auto name = name_of(reason, call_functions_.count(choice) > 0);
  return chunk(choice, "", name, "", &remarks_.of_finish(choice));
}

std::string ChatWriter::usage(const Usage& usage) const {
  if (!include_usage_) return {};
  std::string out = head_ + R"(,"choices":[],"usage":)";
  append_usage(out, usage, remarks_.of_usage());
  append_members(out, remarks_.of_usage().answer);
  out += "}\n\n";
  return out;
}

std::string_view ChatWriter::done() { return "data: [DONE]\n\n"; }

std::string_view ChatWriter::keep_alive() { return ": keep-alive\n\n"; }

}  // namespace spillway::openai
