#include "backends/cloud/dialects/anthropic_thinking.h"

#include "backends/cloud/dialects/members.h"

#include <optional>

namespace spillway::cloud::anthropic {
namespace {

bool is_unsigned_thinking(std::string_view block) {
  return text_in(block, "type") == "thinking" && text_in(block, "signature").empty();
}

void append_element(std::string_view element, std::string& list) {
  list.append(list.empty() ? "" : ",").append(element);
}

// The blocks that stay, without brackets; nothing if all do.
std::optional<std::string> fewer_blocks(std::string_view content) {
  std::string kept;
  bool fewer = false;
  ElementReader blocks(content);
  while (const auto block = blocks.next()) {
    if (is_unsigned_thinking(*block)) {
      fewer = true;
    } else {
      append_element(*block, kept);
    }
  }
  return fewer ? std::optional(kept) : std::nullopt;
}

}  // namespace

std::string without_unsigned_thinking(std::string_view messages) {
  std::string kept;
  bool fewer = false;
  ElementReader elements(messages);
  while (const auto message = elements.next()) {
    const std::string_view content = member_of(*message, "content");
    const auto blocks = fewer_blocks(content);
    if (!blocks) {
      append_element(*message, kept);
      continue;
    }
    fewer = true;
    if (blocks->empty()) continue;
    const auto at = static_cast<std::size_t>(content.data() - message->data());
    append_element(std::string(message->substr(0, at)) + "[" + *blocks + "]" +
                       std::string(message->substr(at + content.size())),
                   kept);
  }
  return fewer ? "[" + kept + "]" : std::string(messages);
}

bool has_unsigned_thinking(std::string_view messages) {
  ElementReader elements(messages);
  while (const auto message = elements.next()) {
    ElementReader blocks(member_of(*message, "content"));
    while (const auto block = blocks.next()) {
      if (is_unsigned_thinking(*block)) return true;
    }
  }
  return false;
}

}  // namespace spillway::cloud::anthropic
