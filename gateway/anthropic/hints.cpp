#include "gateway/anthropic/hints.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace spillway::anthropic {
namespace {

using nlohmann::ordered_json;

class Finder {
 public:
  void read(const ordered_json& request) {
    find(request, "", "cache_control");
    find(request, "", "context_management");
    read_list(request, "system", "system.");
    read_thinking(request);
    if (const ordered_json* tools = list(request, "tools")) {
      for (const ordered_json& tool : *tools) {
        find(tool, "tools.", "cache_control");
        find(tool, "tools.", "eager_input_streaming");
      }
    }
    if (const ordered_json* messages = list(request, "messages")) {
      for (const ordered_json& message : *messages) read_list(message, "content", "messages.");
    }
  }

  std::vector<std::string> names() && { return std::move(names_); }

 private:
  static const ordered_json* member(const ordered_json& object, std::string_view name) {
    const auto found = object.is_object() ? object.find(name) : object.end();
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }

  static const ordered_json* list(const ordered_json& object, std::string_view name) {
    const ordered_json* found = member(object, name);
    return found != nullptr && found->is_array() ? found : nullptr;
  }

  void note(std::string name) {
    if (std::find(names_.begin(), names_.end(), name) == names_.end())
      names_.push_back(std::move(name));
  }

  void find(const ordered_json& object, std::string_view place, std::string_view name) {
    const ordered_json* found = member(object, name);
    if (found != nullptr && *found != false) note(std::string(place).append(name));
  }

  // Blocks, and those of a tool's result.
  void read_list(const ordered_json& holder, std::string_view name, std::string_view place) {
    const ordered_json* blocks = list(holder, name);
    if (blocks == nullptr) return;
    for (const ordered_json& block : *blocks) {
      find(block, place, "cache_control");
      const ordered_json* type = member(block, "type");
      if (type != nullptr && *type == "redacted_thinking")
        note(std::string(place).append("redacted_thinking"));
      if (const ordered_json* inner = list(block, "content")) {
        for (const ordered_json& part : *inner) find(part, place, "cache_control");
      }
    }
  }

  // When to think is left to a target that is only told how hard.
  void read_thinking(const ordered_json& request) {
    const ordered_json* thinking = member(request, "thinking");
    if (thinking == nullptr) return;
    find(*thinking, "thinking.", "display");
    const ordered_json* type = member(*thinking, "type");
    if (type != nullptr && (*type == "adaptive" || *type == "between_tools")) note("thinking.type");
  }

  std::vector<std::string> names_;
};

}  // namespace

std::vector<std::string> hints_in(const ordered_json& request) {
  Finder finder;
  finder.read(request);
  return std::move(finder).names();
}

}  // namespace spillway::anthropic
