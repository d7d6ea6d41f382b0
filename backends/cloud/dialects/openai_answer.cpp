#include "backends/cloud/dialects/json_check.h"
#include "backends/cloud/dialects/members.h"
#include "backends/cloud/dialects/openai.h"

#include <algorithm>
#include <utility>

namespace spillway::cloud::openai {

namespace {

constexpr int kChoicesMax = 128;  // OpenAI's limit of `n`.

bool is_null(std::string_view token) { return token.empty() || token == "null"; }

std::optional<Usage> usage_of(std::string_view object) {
  if (!object.starts_with('{')) return std::nullopt;
  Usage usage;
  int total = 0;
  MemberReader reader(object);
  while (const auto member = reader.next()) {
    if (member->is("prompt_tokens")) usage.prompt_tokens = count_of(member->value);
    if (member->is("completion_tokens")) usage.completion_tokens = count_of(member->value);
    if (member->is("total_tokens")) total = count_of(member->value);
    // DeepSeek's name for OpenAI's prompt_tokens_details.cached_tokens.
    if (member->is("prompt_cache_hit_tokens")) usage.cached_tokens = count_of(member->value);
    if (member->is("prompt_tokens_details")) {
      const int cached = count_of(member_of(member->value, "cached_tokens"));
      usage.cached_tokens = std::max(usage.cached_tokens, cached);
    }
    if (member->is("completion_tokens_details")) {
      usage.reasoning_tokens = count_of(member_of(member->value, "reasoning_tokens"));
    }
  }
  // Of what has no completion some tell the sum alone; Gemini's and xAI's endpoints tell thinking
  // only in the sum.
  if (usage.prompt_tokens == 0 && usage.completion_tokens == 0) {
    usage.prompt_tokens = total;
  } else {
    usage.completion_tokens = std::max(usage.completion_tokens, total - usage.prompt_tokens);
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

void add_extra(const Member& member, std::string& extra) {
  extra.append(extra.empty() ? "{\"" : ",\"").append(member.key);
  extra.append("\":").append(member.value);
}

// Fills `delta` from a `delta` or `message` object; false if it is none of this dialect.
bool read_message(std::string_view message, Delta& delta) {
  if (!message.starts_with('{')) return false;
  MemberReader reader(message);
  while (const auto member = reader.next()) {
    if (is_null(member->value) || member->value == "[]" || member->is("role")) continue;
    const bool content = member->is("content");
    const bool reasoning = member->is("reasoning_content") || member->is("reasoning");
    if (!content && !reasoning) {
      add_extra(*member, delta.extra);
      continue;
    }
    auto text = text_of(member->value);
    if (!text) return false;
    (content ? delta.text : delta.reasoning) = std::move(*text);
  }
  if (!delta.extra.empty()) delta.extra.push_back('}');
  return true;
}

// Appends the choice to `parsed`, or turns `parsed` into the failure that it tells of.
void read_choice(std::string_view choice, std::string_view message_name, Parsed& parsed) {
  Delta delta;
  std::string_view message;
  std::string_view text;  // Of a completion, which has no message.
  std::string_view reason;
  MemberReader reader(choice);
  while (const auto member = reader.next()) {
    if (member->is("index")) delta.choice = count_of(member->value);
    if (member->is(message_name)) message = member->value;
    if (member->is("text")) text = member->value;
    if (member->is("finish_reason")) reason = member->value;
    if (member->is("logprobs") && member->value.starts_with('{')) delta.logprobs = member->value;
  }
  const bool readable = reader.complete() && delta.choice < kChoicesMax &&
                        (is_null(message) || read_message(message, delta));
  if (!readable) return void(parsed = Parsed::garbage());
  if (is_null(message) && !is_null(text)) delta.text = text_of(text).value_or("");
  if (!is_null(reason)) {
    const std::string name = text_of(reason).value_or("");
    delta.finish = finish_reason_of(name);
    // Such as DeepSeek's insufficient_system_resource: the answer is cut, however well formed.
    if (!delta.finish) {
      parsed.kind = Parsed::Kind::complaint;
      parsed.complaint = {"the answer ended with " + name, "", ""};
      return;
    }
  }
  const bool says_nothing = delta.text.empty() && delta.reasoning.empty() && delta.extra.empty() &&
                            delta.logprobs.empty();
  if (!says_nothing || delta.finish) parsed.deltas.push_back(std::move(delta));
}

Parsed parse_choices(std::string_view text, std::string_view message_name) {
  if (!is_json(text)) return Parsed::garbage();
  Parsed parsed;
  std::string_view choices;
  std::string_view error;
  MemberReader reader(text);
  while (const auto member = reader.next()) {
    if (member->is("choices")) choices = member->value;
    if (member->is("usage")) parsed.usage = usage_of(member->value);
    if (member->is("error")) error = member->value;
  }
  if (!reader.complete()) return Parsed::garbage();
  if (!is_null(error)) return Parsed::complain(parse_complaint(text).value_or(Complaint{}));
  if (!choices.starts_with('[')) return parsed.usage ? parsed : Parsed::garbage();
  ElementReader elements(choices);
  while (const auto choice = elements.next()) {
    read_choice(*choice, message_name, parsed);
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
  return whole && !parsed.deltas.empty() ? parsed : Parsed::garbage();
}

Parsed parse_object(std::string_view body) {
  if (!is_json(body) || !body.starts_with('{')) return Parsed::garbage();
  Parsed parsed;
  std::string_view error;
  MemberReader reader(body);
  while (const auto member = reader.next()) {
    if (member->is("usage")) parsed.usage = usage_of(member->value);
    if (member->is("error")) error = member->value;
  }
  if (!is_null(error)) return Parsed::complain(parse_complaint(body).value_or(Complaint{}));
  Delta delta;
  delta.object = body;
  delta.finish = FinishReason::stop;
  parsed.deltas.push_back(std::move(delta));
  return parsed;
}

}  // namespace spillway::cloud::openai
