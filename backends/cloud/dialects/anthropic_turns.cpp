#include "backends/cloud/dialects/anthropic_turns.h"

#include "backends/cloud/dialects/members.h"
#include "backends/contract/json_depth.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace spillway::cloud::anthropic {

namespace {

using nlohmann::ordered_json;

// An empty text is no block: it would be refused.
void add_text(const std::string& text, ordered_json& blocks) {
  if (!text.empty()) blocks.push_back({{"type", "text"}, {"text", text}});
}

// "data:image/png;base64,…" or an address.
ordered_json source_of(const std::string& url) {
  constexpr std::string_view kData = "data:", kBase64 = ";base64,";
  const auto mark = url.find(kBase64);
  if (!url.starts_with(kData) || mark == url.npos) return {{"type", "url"}, {"url", url}};
  return {{"type", "base64"},
          {"media_type", url.substr(kData.size(), mark - kData.size())},
          {"data", url.substr(mark + kBase64.size())}};
}

// A picture is to be looked at more closely, or less, than it would be.
bool has_detail(std::string_view content) {
  if (!content.starts_with('[')) return false;
  ElementReader parts(content);
  while (const auto part = parts.next()) {
    const std::string detail = text_in(member_of(*part, "image_url"), "detail");
    if (!detail.empty() && detail != "auto") return true;
  }
  return false;
}

class Turns {
 public:
  void add(const ordered_json& message) {
    const std::string role = message.value("role", "");
    const bool is_system = role == "system" || role == "developer";
    if (is_system) return turns_.empty() ? add_system(message) : add_instruction(message);
    if (role == "tool") return add_result(message);
    if (role == "assistant") return add_answer(message);
    if (role != "user") return fail("a message of role '" + role + "'");
    for (ordered_json& block : blocks_of(message)) append("user", std::move(block));
  }

  std::string write(ordered_json& out) {
    if (!system_.empty()) out["system"] = std::move(system_);
    out["messages"] = std::move(turns_);
    return cannot_;
  }

 private:
  void fail(std::string what) {
    if (cannot_.empty()) cannot_ = std::move(what);
  }

  // Turns of one role are one turn here: results of parallel calls must stand together.
  void append(std::string_view role, ordered_json block) {
    if (role == "user" && ends_with("system")) return fail("a user's message behind a system's");
    if (turns_.empty() || turns_.back()["role"] != role)
      turns_.push_back({{"role", role}, {"content", ordered_json::array()}});
    turns_.back()["content"].push_back(std::move(block));
  }

  bool ends_with(std::string_view role) const {
    return !turns_.empty() && turns_.back()["role"] == role;
  }

  void add_system(const ordered_json& message) {
    for (ordered_json& block : texts_of(message)) system_.push_back(std::move(block));
  }

  // Where it is told, as newer models take it between a user's turn and an answer; others say that
  // they do not. At the beginning it would be read before what it comes after.
  void add_instruction(const ordered_json& message) {
    if (ends_with("assistant")) return fail("a system message behind an assistant's");
    for (ordered_json& block : texts_of(message)) append("system", std::move(block));
  }

  ordered_json texts_of(const ordered_json& message) {
    ordered_json blocks = blocks_of(message);
    const bool is_text = std::all_of(blocks.begin(), blocks.end(), [](const ordered_json& block) {
      return block["type"] == "text";
    });
    if (!is_text) fail("a system message that is not text");
    return blocks;
  }

  void add_result(const ordered_json& message) {
    append("user", {{"type", "tool_result"},
                    {"tool_use_id", message.at("tool_call_id")},
                    {"content", blocks_of(message)}});
  }

  void add_answer(const ordered_json& message) {
    for (ordered_json& block : blocks_of(message)) append("assistant", std::move(block));
    const auto calls = message.find("tool_calls");
    if (calls == message.end() || calls->is_null()) return;
    for (const ordered_json& call : *calls) {
      if (call.value("type", "function") != "function") return fail("a call of a custom tool");
      const ordered_json& function = call.at("function");
      append("assistant",
             {{"type", "tool_use"},
              {"id", call.at("id")},
              {"name", function.at("name")},
              {"input", input_of(function.at("arguments").get_ref<const std::string&>())}});
    }
  }

  // It has to be an object, whatever was written.
  static ordered_json input_of(const std::string& written) {
    if (written.empty()) return ordered_json::object();
    ordered_json input;
    if (!is_outsized(written)) input = ordered_json::parse(written, nullptr, false);
    if (input.is_object()) return input;
    return {{"arguments", written}};
  }

  ordered_json blocks_of(const ordered_json& message) {
    ordered_json blocks = ordered_json::array();
    const auto content = message.find("content");
    if (content == message.end() || content->is_null()) return blocks;
    if (content->is_string()) {
      add_text(content->get<std::string>(), blocks);
      return blocks;
    }
    for (const ordered_json& part : *content) add_part(part, blocks);
    return blocks;
  }

  void add_part(const ordered_json& part, ordered_json& blocks) {
    const std::string type = part.value("type", "");
    if (type == "text" || type == "refusal") {
      add_text(part.at(type).get<std::string>(), blocks);
    } else if (type == "image_url") {
      const auto& url = part.at("image_url").at("url").get_ref<const std::string&>();
      blocks.push_back({{"type", "image"}, {"source", source_of(url)}});
    } else if (type == "file" && part.at("file").contains("file_data")) {
      const auto& data = part["file"]["file_data"].get_ref<const std::string&>();
      blocks.push_back({{"type", "document"}, {"source", source_of(data)}});
    } else {
      fail("a content part of type '" + type + "'");
    }
  }

  ordered_json system_ = ordered_json::array();
  ordered_json turns_ = ordered_json::array();
  std::string cannot_;
};

}  // namespace

std::vector<std::string_view> left_out_of_turns(std::string_view messages) {
  bool names = false;
  bool details = false;
  bool thoughts = false;
  ElementReader reader(messages);
  while (const auto message = reader.next()) {
    names = names || (!text_in(*message, "name").empty() && text_in(*message, "role") != "tool");
    details = details || has_detail(member_of(*message, "content"));
    thoughts = thoughts || !text_in(*message, "reasoning_content").empty();
  }
  std::vector<std::string_view> fields;
  if (names) fields.emplace_back("messages.name");
  if (details) fields.emplace_back("messages.image_url.detail");
  if (thoughts) fields.emplace_back("messages.reasoning_content");
  return fields;
}

std::string write_turns(const ordered_json& messages, ordered_json& out) {
  Turns turns;
  for (const ordered_json& message : messages) turns.add(message);
  return turns.write(out);
}

}  // namespace spillway::cloud::anthropic
