#include "gateway/openai/beside.h"

#include <nlohmann/json.hpp>

namespace spillway::openai {
namespace {

using nlohmann::json;

constexpr std::size_t kBytesOfNumber = 4;  // Or of true, false and null.

// parse_object has bounded how deep it nests.
std::size_t bytes_of(const json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().size();
  if (!value.is_structured()) return kBytesOfNumber;
  std::size_t bytes = value.size();
  for (const auto& [name, inner] : value.items())
    bytes += bytes_of(inner) + (value.is_object() ? name.size() + 1 : 0);
  return bytes;
}

std::size_t bytes_of(const json& object, const char* member) {
  const auto found = object.find(member);
  return found == object.end() || found->is_null() ? 0 : bytes_of(*found);
}

}  // namespace

std::size_t bytes_of_form(const json& request) { return bytes_of(request, "response_format"); }

std::size_t bytes_beside_texts(const json& request) {
  std::size_t bytes = bytes_of(request, "tools") + bytes_of(request, "functions");
  const auto messages = request.find("messages");
  if (messages == request.end() || !messages->is_array()) return bytes;
  for (const json& message : *messages) {
    if (!message.is_object()) continue;
    for (const char* member : {"tool_calls", "function_call", "reasoning_content"})
      bytes += bytes_of(message, member);
  }
  return bytes;
}

}  // namespace spillway::openai
