#include "backends/cloud/dialects/openai_messages.h"

#include "backends/cloud/dialects/members.h"

namespace spillway::cloud::openai {
namespace {

constexpr std::string_view kDeveloper = R"("developer")";
constexpr std::string_view kReasoning = "reasoning_content";
constexpr std::string_view kBeside = "extra_content";

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

bool is_fit(std::string_view message, Words known) {
  return (known.developer || !has(message, kDeveloper)) &&
         (known.reasoning || !has(message, kReasoning)) && (known.beside || !has(message, kBeside));
}

std::string without_beside(std::string_view call) {
  std::string members;
  MemberReader reader(call);
  while (const auto member = reader.next()) {
    if (!member->is(kBeside)) append_member(*member, members);
  }
  return "{" + members + "}";
}

std::string calls_without_beside(std::string_view calls) {
  std::string list;
  ElementReader reader(calls);
  while (const auto call = reader.next())
    list.append(list.empty() ? "" : ",").append(without_beside(*call));
  return "[" + list + "]";
}

std::string translated(std::string_view message, Words known) {
  std::string members;
  MemberReader reader(message);
  while (auto member = reader.next()) {
    if (!known.reasoning && member->is(kReasoning)) continue;
    const bool is_developer = member->is("role") && member->value == kDeveloper;
    if (!known.developer && is_developer) member->value = R"("system")";
    members.append(members.empty() ? "\"" : ",\"").append(member->key).append("\":");
    const bool has_calls = member->is("tool_calls") && member->value.starts_with('[');
    if (!known.beside && has_calls) {
      members.append(calls_without_beside(member->value));
    } else {
      members.append(member->value);
    }
  }
  return "{" + members + "}";
}

}  // namespace

bool has_reasoning(std::string_view messages) {
  if (!has(messages, kReasoning)) return false;
  ElementReader reader(messages);
  while (const auto message = reader.next()) {
    if (!text_in(*message, kReasoning).empty()) return true;
  }
  return false;
}

std::string in_words(std::string_view messages, Words known) {
  if (is_fit(messages, known)) return std::string(messages);
  std::string list;
  ElementReader reader(messages);
  while (const auto message = reader.next()) {
    list += list.empty() ? "" : ",";
    list += is_fit(*message, known) ? std::string(*message) : translated(*message, known);
  }
  return "[" + list + "]";
}

}  // namespace spillway::cloud::openai
