#include "backends/cloud/dialects/openai_content.h"

#include "backends/cloud/dialects/members.h"

#include <optional>
#include <string>

namespace spillway::cloud::openai {
namespace {

bool add_text(std::string_view token, std::string& all) {
  const auto text = text_of(token);
  if (text) all += *text;
  return text.has_value();
}

// A text, or parts of text.
bool read_thinking(std::string_view thinking, std::string& reasoning) {
  if (!thinking.starts_with('[')) return add_text(thinking, reasoning);
  ElementReader parts(thinking);
  while (const auto part = parts.next()) {
    if (!add_text(member_of(*part, "text"), reasoning)) return false;
  }
  return true;
}

bool read_part(std::string_view part, Delta& delta) {
  const std::string type = text_in(part, "type");
  if (type == "text") return add_text(member_of(part, "text"), delta.text);
  if (type == "thinking") return read_thinking(member_of(part, "thinking"), delta.reasoning);
  return type == "reference";  // Says where the text beside it comes from.
}

}  // namespace

bool read_content(std::string_view content, Delta& delta) {
  if (!content.starts_with('[')) return add_text(content, delta.text);
  ElementReader parts(content);
  while (const auto part = parts.next()) {
    if (!read_part(*part, delta)) return false;
  }
  return true;
}

}  // namespace spillway::cloud::openai
