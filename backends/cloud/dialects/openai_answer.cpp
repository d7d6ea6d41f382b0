#include "backends/cloud/dialects/json_check.h"
#include "backends/cloud/dialects/members.h"
#include "backends/cloud/dialects/openai.h"
#include "backends/cloud/dialects/openai_content.h"
#include "backends/cloud/dialects/openai_usage.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace spillway::cloud::openai {

namespace {

constexpr int kChoicesMax = 128;  // OpenAI's limit of `n`.

bool is_null(std::string_view token) { return token.empty() || token == "null"; }

// Of an answer's members, those that are told in our own words, and padding.
constexpr std::array<std::string_view, 9> kOfAnswer = {
    "choices", "usage", "error", "id", "object", "created", "model", "service_tier", "obfuscation"};

// The answer is cut, however well formed: DeepSeek's, vLLM's, OpenRouter's and Z.ai's words.
constexpr std::array<std::string_view, 4> kCut = {"insufficient_system_resource", "abort", "error",
                                                  "network_error"};

bool is_one_of(std::span<const std::string_view> names, const Member& member) {
  if (std::find(names.begin(), names.end(), member.key) != names.end()) return true;
  return member.key.find('\\') != member.key.npos &&
         std::any_of(names.begin(), names.end(),
                     [&](std::string_view name) { return member.is(name); });
}

std::optional<FinishReason> finish_reason_of(std::string_view name) {
  if (std::find(kCut.begin(), kCut.end(), name) != kCut.end()) return std::nullopt;
  if (name == "length" || name == "max_tokens" || name == "model_length")
    return FinishReason::length;
  if (name == "tool_calls" || name == "function_call") return FinishReason::tool_calls;
  if (name == "content_filter") return FinishReason::content_filter;
  return FinishReason::stop;
}

bool is_plain_stop(std::string_view name) {
  return name == "stop" || name == "eos" || name == "end_turn";
}

// Fills `delta` from a `delta` or `message` object; false if it is none of this dialect.
bool read_message(std::string_view message, Delta& delta) {
  if (!message.starts_with('{')) return false;
  MemberReader reader(message);
  while (const auto member = reader.next()) {
    if (is_null(member->value) || member->value == "[]" || member->is("role")) continue;
    if (member->is("content")) {
      if (!read_content(member->value, delta)) return false;
    } else if (member->is("reasoning_content") || member->is("reasoning")) {
      auto thought = text_of(member->value);
      if (!thought) return false;
      delta.reasoning = std::move(*thought);
    } else {
      append_member(*member, delta.extra);
    }
  }
  if (!delta.extra.empty()) delta.extra = "{" + delta.extra + "}";
  return true;
}

// How the answer ended; false if not as an answer does. A reason that nobody here knows is told in
// the provider's word beside.
bool read_finish(std::string_view token, Delta& delta, std::string& beside) {
  const std::string name = text_of(token).value_or("");
  delta.finish = finish_reason_of(name);
  if (delta.finish == FinishReason::stop && !is_plain_stop(name))
    append_member({"native_finish_reason", token}, beside);
  return delta.finish.has_value();
}

// vLLM's and SGLang's: a number is a token's.
bool names_stop(const Member& member) {
  return member.value.starts_with('"') && (member.is("stop_reason") || member.is("matched_stop"));
}

// Appends the choice to `parsed`, or turns `parsed` into the failure that it tells of.
void read_choice(std::string_view choice, std::string_view message_name, Parsed& parsed) {
  Delta delta;
  std::string_view message;
  std::string_view text;  // Of a completion, which has no message.
  std::string_view reason;
  std::string beside;
  MemberReader reader(choice);
  while (const auto member = reader.next()) {
    if (member->is("index")) {
      delta.choice = count_of(member->value);
    } else if (member->is(message_name)) {
      message = member->value;
    } else if (member->is("text")) {
      text = member->value;
    } else if (member->is("finish_reason")) {
      reason = member->value;
    } else if (member->is("logprobs")) {
      if (member->value.starts_with('{')) delta.logprobs = member->value;
    } else {
      if (names_stop(*member)) delta.stopped_by = text_of(member->value).value_or("");
      append_member(*member, beside);
    }
  }
  const bool readable = reader.complete() && delta.choice < kChoicesMax &&
                        (is_null(message) || read_message(message, delta));
  if (!readable) return void(parsed.kind = Parsed::Kind::garbage);
  if (is_null(message) && !is_null(text)) delta.text = text_of(text).value_or("");
  const bool ends = !is_null(reason) && reason != R"("")";
  if (ends && !read_finish(reason, delta, beside)) {
    parsed.kind = Parsed::Kind::complaint;
    parsed.complaint = ended_amiss(text_of(reason).value_or(""));
    return;
  }
  if (!beside.empty()) delta.beside = std::make_shared<const Beside>(Beside{.choice = beside});
  const bool says_nothing = delta.text.empty() && delta.reasoning.empty() && delta.extra.empty() &&
                            delta.logprobs.empty();
  if (!says_nothing || delta.finish) parsed.deltas.push_back(std::move(delta));
}

// What is told of the whole answer goes with the last of its pieces.
void add_beside(Beside answer, Parsed& parsed) {
  const bool is_usage =
      !answer.usage.empty() || !answer.prompt_details.empty() || !answer.completion_details.empty();
  if (answer.answer.empty() && !is_usage) return;
  auto& place = parsed.deltas.empty() ? parsed.beside : parsed.deltas.back().beside;
  if (place) answer.choice = place->choice;
  place = std::make_shared<const Beside>(std::move(answer));
}

// That the answer is none, in words that are told with what it bills.
Parsed complaining(Parsed parsed, std::string_view body) {
  parsed.kind = Parsed::Kind::complaint;
  parsed.complaint = parse_complaint(body).value_or(Complaint{});
  return parsed;
}

Parsed parse_choices(std::string_view text, std::string_view message_name) {
  if (!is_json(text)) return Parsed::garbage();
  Parsed parsed;
  Beside beside;
  std::string_view choices;
  std::string_view error;
  bool counts = false;
  MemberReader reader(text);
  while (const auto member = reader.next()) {
    if (member->is("choices")) choices = member->value;
    if (member->is("usage")) parsed.usage = usage_of(member->value, Counted::written, beside);
    if (member->is("usage")) counts = member->value.starts_with('{');
    if (member->is("error")) error = member->value;
    if (member->is("service_tier") && !is_null(member->value)) {
      const auto tier = text_of(member->value);
      parsed.at_batch_rate = tier == kBatchTier;
      parsed.at_dearer_rate = tier == kDearerTier;
    }
    if (!is_one_of(kOfAnswer, *member)) append_member(*member, beside.answer);
  }
  if (!reader.complete()) return Parsed::garbage();
  if (parsed.usage) {
    parsed.usage->at_batch_rate = parsed.at_batch_rate.value_or(false);
    parsed.usage->at_dearer_rate = parsed.at_dearer_rate.value_or(false);
  }
  if (!is_null(error)) return complaining(std::move(parsed), text);
  if (!choices.starts_with('[') && !counts) return Parsed::garbage();
  ElementReader elements(choices);
  while (const auto choice = elements.next()) {
    read_choice(*choice, message_name, parsed);
    if (parsed.kind != Parsed::Kind::pieces) return parsed;
  }
  add_beside(std::move(beside), parsed);
  return parsed;
}

int elements_in(std::string_view list) {
  int count = 0;
  ElementReader elements(list);
  while (elements.next()) ++count;
  return count;
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
  if (!whole || parsed.deltas.empty()) parsed.kind = Parsed::Kind::garbage;
  return parsed;
}

Parsed parse_object(std::string_view body, int inputs) {
  if (!is_json(body) || !body.starts_with('{')) return Parsed::garbage();
  Parsed parsed;
  Beside beside;  // Is in the object.
  std::string_view error;
  std::string_view data, meta;
  MemberReader reader(body);
  while (const auto member = reader.next()) {
    if (member->is("usage")) parsed.usage = usage_of(member->value, Counted::read, beside);
    if (member->is("meta")) meta = member->value;
    if (member->is("error")) error = member->value;
    if (member->is("data")) data = member->value;
  }
  add_meta(meta, parsed.usage);
  if (!is_null(error)) return complaining(std::move(parsed), body);
  if (inputs > 0) {
    const int given = elements_in(data);
    if (given != inputs) {
      parsed.kind = Parsed::Kind::complaint;
      parsed.complaint = answered_amiss("it gave " + std::to_string(given) + " embeddings of " +
                                        std::to_string(inputs) + " inputs");
      return parsed;
    }
  }
  Delta delta;
  delta.object = body;
  delta.finish = FinishReason::stop;
  parsed.deltas.push_back(std::move(delta));
  return parsed;
}

}  // namespace spillway::cloud::openai
