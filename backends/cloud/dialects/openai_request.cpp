#include "backends/cloud/dialects/members.h"
#include "backends/cloud/dialects/openai.h"
#include "backends/cloud/dialects/openai_messages.h"
#include "backends/contract/openai_fields.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace spillway::cloud::openai {

namespace {

constexpr std::string_view kParallel = "parallel_tool_calls";
constexpr std::string_view kReasoning = "reasoning_content";
constexpr std::string_view kBeside = "extra_content";

template <class List>
bool lists(const List& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The need that the field asks for, as `takes` names it; empty: none, or one that all know.
std::string_view need_by(std::string_view field) {
  for (const FieldNeed& one : kFieldNeeds) {
    if (one.field != field) continue;
    const auto words = std::find_if(kNeeds.begin(), kNeeds.end(),
                                    [&](const NeedWords& each) { return each.need == one.need; });
    return words->name;
  }
  return {};
}

bool is_limit(std::string_view key) {
  return key == "max_tokens" || key == "max_completion_tokens";
}

// Whether the provider gets this field of a request.
bool takes(const ChatRequest& request, const Ways& ways, const Manner& manner,
           std::string_view key) {
  if (lists(kFieldsOfOurs, key)) return false;
  if (writes(request.endpoint) && is_limit(key)) return ways.limit_field.empty();
  if (lists(manner.forward_fields, key)) return true;
  if (lists(ways.lacks, key)) return false;
  if (key == "metadata" && !request.store) return false;  // OpenAI refuses it.
  if (is_own_field(request.endpoint, key)) return key != "echo" || has(request.needs, Need::echo);
  if (lists(manner.forward_fields, std::string_view("*"))) return true;
  // What a dialect adds, and what is taken by its need, are words of a model that writes.
  if (!writes(request.endpoint) && lists(request.unknown, key)) return false;
  return lists(ways.adds, key) || lists(manner.takes, need_by(key));
}

// Left out as a hint, it would let several tools be called at once.
bool forbids_parallel_calls(const ChatRequest& request) {
  return has(request.needs, Need::tools) && member_of(request.body, kParallel) == "false";
}

// Said, and not there.
bool is_absent(std::string_view key, std::string_view value) {
  return value == "null" || (key == "web_search_options" && value == "false");
}

// Says no more than its absence would.
bool is_idle(std::string_view key, std::string_view value) {
  return is_absent(key, value) || (key == "store" && value == "false") ||
         (key == kParallel && value == "true");
}

// What would change the answer and cannot be said to the provider; empty: nothing.
std::string_view unsayable(const ChatRequest& request, const Ways& ways, const Manner& manner) {
  for (const FieldNeed& one : request.beyond) {
    if (!takes(request, ways, manner, one.field)) return one.field;
  }
  for (const std::string& field : request.unknown) {
    if (is_embedded(request.endpoint, field) && !takes(request, ways, manner, field)) return field;
  }
  if (!takes(request, ways, manner, kParallel) && forbids_parallel_calls(request)) return kParallel;
  const bool is_prefix = has(request.needs, Need::prefix);
  const bool knows = ways.prefix || manner.continues == "prefix" || lists(manner.takes, "prefix");
  return is_prefix && !knows ? "messages" : "";
}

Error refuse(std::string_view field, const ChatRequest& request, const Ways& ways) {
  const bool is_prefix = field == "messages" && request.endpoint == Endpoint::chat;
  const std::string what = is_prefix ? "a last message that is a prefix" : std::string(field);
  return {Errc::unsupported,
          "A provider of the dialect '" + std::string(ways.name) + "' is not known to take " +
              what + ".",
          std::string(field), std::nullopt};
}

// Each once, so that the provider cannot be made to see another request than the one that was
// checked here.
Result<std::vector<Field>> fields_for(const ChatRequest& request, const Ways& ways,
                                      const Manner& manner) {
  auto fields = fields_of(request.body);
  const auto is_kept_here = [&](const Field& field) {
    return !takes(request, ways, manner, field.key);
  };
  if (fields) std::erase_if(*fields, is_kept_here);
  return fields;
}

// The messages with the answer so far behind them, for a provider that goes on with its last one.
void append_begun(std::string_view messages, std::string_view begun, std::string_view continues,
                  std::string& body) {
  body.append(messages.substr(0, messages.rfind(']')));
  body.append(R"(,{"role":"assistant","content":)").append(quoted(begun));
  body.append(continues == "prefix" ? R"(,"prefix":true}])" : "}]");
}

// A client of this protocol that gives reasoning means it; others' clients only give back what they
// were told.
bool tells_reasoning(const ChatRequest& request, const Ways& ways, const Manner& manner) {
  return !request.original || wants_reasoning(ways, manner.base_url) ||
         lists(manner.forward_fields, kReasoning);
}

std::string messages_for(std::string_view messages, const ChatRequest& request, const Ways& ways,
                         const Manner& manner) {
  const bool signatures =
      wants_signatures(ways, manner.base_url) || lists(manner.forward_fields, kBeside);
  const Words known{.developer = ways.developer,
                    .reasoning = tells_reasoning(request, ways, manner),
                    .beside = signatures};
  return in_words(messages, known);
}

// Of a request that is to be gone on with, or to end sooner than the client said, some change.
void append_value(const Field& field, const ChatRequest& request, const Ways& ways,
                  const Manner& manner, std::string& body) {
  const Sampling& sampling = request.sampling;
  const bool goes_on = !request.begun.empty();
  const bool is_ours = goes_on || request.cut_short;
  if (field.key == "messages") {
    const std::string messages = messages_for(field.value, request, ways, manner);
    if (goes_on) append_begun(messages, request.begun, manner.continues, body);
    if (!goes_on) body.append(messages);
  } else if (is_ours && sampling.tokens_max && is_limit(field.key)) {
    body.append(std::to_string(*sampling.tokens_max));
  } else if (is_ours && field.key == "min_tokens") {
    body.append(std::to_string(sampling.tokens_min));
  } else {
    body.append(field.value);
  }
}

}  // namespace

// What is asked for by a FieldNeed is told, refused or idle; an echo may be done here.
std::vector<std::string> left_out(const ChatRequest& request, const Ways& ways,
                                  const Manner& manner) {
  std::vector<std::string> names = request.hints;
  MemberReader reader(request.body);
  while (const auto member = reader.next()) {
    std::string key = text_of_key(member->key);
    const bool is_ours = lists(kFieldsOfOurs, key) || is_limit(key) || !need_by(key).empty();
    const bool is_acted_on = is_ours && !lists(request.unknown, key);
    const bool is_told = is_idle(key, member->value) || takes(request, ways, manner, key);
    if (is_acted_on || is_told) continue;
    if (!lists(names, key)) names.push_back(std::move(key));
  }
  if (!tells_reasoning(request, ways, manner) && has_reasoning(member_of(request.body, "messages")))
    names.emplace_back("messages.reasoning_content");
  return names;
}

Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                 const Ways& ways, const Manner& manner) {
  const std::string_view cannot = unsayable(request, ways, manner);
  if (!cannot.empty()) return refuse(cannot, request, ways);
  const auto fields = fields_for(request, ways, manner);
  if (!fields) return fields.error();

  std::string body;
  body.reserve(request.body.size() + model.size() + 96);
  body.append(R"({"model":)").append(quoted(model));
  if (request.stream) body.append(R"(,"stream":true)");
  if (request.stream && !ways.tells_usage)
    body.append(R"(,"stream_options":{"include_usage":true})");
  const bool in_chat = request.endpoint == Endpoint::chat;
  if (request.at_batch_rate && in_chat)
    body.append(R"(,"service_tier":)").append(quoted(kBatchTier));
  // A completion has 16 tokens where its client names no limit; not all who serve them know that.
  const bool wants_limit = request.cut_short || (!in_chat && request.sampling.tokens_max);
  bool limited = !wants_limit || !writes(request.endpoint);
  for (const Field& field : *fields) {
    if (is_absent(field.key, field.value)) continue;
    limited = limited || is_limit(field.key);
    const std::string_view written = field.key == "seed" ? ways.seed_field : field.written;
    body.append(",\"").append(written).append("\":");
    append_value(field, request, ways, manner, body);
  }
  const bool renamed =
      !ways.limit_field.empty() && request.sampling.tokens_max && writes(request.endpoint);
  const auto added = in_chat ? added_limit(ways, manner.base_url) : "max_tokens";
  if (renamed || !limited)
    body.append(",\"")
        .append(renamed ? ways.limit_field : added)
        .append("\":")
        .append(std::to_string(request.sampling.tokens_max.value_or(1)));
  if (!request.begun.empty() && manner.continues == "continue_final_message")
    body.append(R"(,"continue_final_message":true,"add_generation_prompt":false)");
  body.push_back('}');
  return body;
}

}  // namespace spillway::cloud::openai
