#include "gateway/anthropic/conversation.h"

#include "gateway/wire/attachments.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace spillway::anthropic {
namespace {

using nlohmann::ordered_json;
using wire::Fields;
using wire::Json;

constexpr std::size_t kMessagesMax = 100'000;
constexpr std::size_t kBlocksMax = 100'000;

// One turn being said again.
class Turn {
 public:
  Turn(std::string role, ordered_json& messages, Beyond& beyond)
      : role_(std::move(role)), messages_(messages), beyond_(beyond) {}

  void text(std::string text) { parts_.push_back({{"type", "text"}, {"text", std::move(text)}}); }

  void image(std::string url) {
    all_text_ = false;
    parts_.push_back({{"type", "image_url"}, {"image_url", {{"url", std::move(url)}}}});
  }

  void thinking(const std::string& text) { reasoning_ += text; }

  void call(std::string id, std::string name, const ordered_json& input) {
    beyond_.tools = true;
    calls_.push_back({{"id", std::move(id)},
                      {"type", "function"},
                      {"function", {{"name", std::move(name)}, {"arguments", input.dump()}}}});
  }

  // Before what follows it in the same turn, as chat completions want it.
  void result(std::string id, std::string text) {
    beyond_.tools = true;
    if (!parts_.empty()) end();
    said_ = true;
    messages_.push_back(
        {{"role", "tool"}, {"tool_call_id", std::move(id)}, {"content", std::move(text)}});
  }

  void end() {
    if (nothing()) return;
    ordered_json message = {{"role", role_}, {"content", content()}};
    if (!reasoning_.empty()) message["reasoning_content"] = std::exchange(reasoning_, {});
    if (!calls_.empty()) message["tool_calls"] = std::exchange(calls_, ordered_json::array());
    messages_.push_back(std::move(message));
    said_ = true;
    parts_ = ordered_json::array();
    all_text_ = true;
  }

 private:
  // A turn that chat completions cannot say is still one.
  bool nothing() const { return said_ && parts_.empty() && calls_.empty() && reasoning_.empty(); }

  ordered_json content() {
    if (!all_text_) return std::move(parts_);
    if (parts_.empty() && role_ == "assistant") return nullptr;
    std::string all;
    for (const ordered_json& part : parts_) all += part["text"].get_ref<const std::string&>();
    return all;
  }

  const std::string role_;
  ordered_json& messages_;
  Beyond& beyond_;
  ordered_json parts_ = ordered_json::array();
  ordered_json calls_ = ordered_json::array();
  std::string reasoning_;
  bool all_text_ = true;
  bool said_ = false;
};

class Reader {
 public:
  Reader(std::optional<Error>& error, Beyond& beyond) : error_(error), beyond_(beyond) {}

  // `content` of a turn, a tool's result or `system`: a text, or blocks.
  template <class Take>
  void content(Fields& fields, std::string_view name, Take take) {
    Json* content = fields.any(name);
    if (content == nullptr) return fields.fail(name, "is required");
    if (content->is_string()) {
      Json block = {{"type", "text"}, {"text", std::move(*content)}};
      Fields only(block, fields.path_of(name) + ".", error_);
      return take(only, std::size_t{0});
    }
    if (!content->is_array())
      return fields.fail(name, "must be a string or an array of content blocks");
    if (content->size() > kBlocksMax) return fields.fail(name, "has too many blocks");
    for (std::size_t i = 0; i < content->size() && !error_; ++i) {
      Json* block = fields.element(*content, name, i);
      if (block == nullptr) return;
      Fields one(*block, fields.path_of(Fields::element_name(name, i)) + ".", error_);
      take(one, i);
    }
  }

  void turn(Fields& message, const ordered_json& said, ordered_json& messages) {
    if (message.any("role") == nullptr) message.fail("role", "is required");
    const auto role = message.one_of("role", {"user", "assistant", "system"});
    Turn turn(role.value_or("user"), messages, beyond_);
    content(message, "content", [&](Fields& block, std::size_t at) {
      const std::string type = block.required_string("type");
      const bool assistant = role == "assistant";
      if (assistant && assistant_block(type, block, said, at, turn)) return;
      if (!assistant && user_block(type, block, turn)) return;
      leave(block, type, "a content block of type '" + type + "'");
    });
    turn.end();
  }

  void system(Fields& request, ordered_json& messages) {
    if (request.any("system") == nullptr) return;
    Turn turn("system", messages, beyond_);
    content(request, "system", [&](Fields& block, std::size_t) {
      const std::string type = block.required_string("type");
      if (type != "text") return block.fail("type", "must be text");
      turn.text(block.required_string("text"));
    });
    turn.end();
  }

 private:
  // To who speaks this protocol. What a picture or a document costs there is not told by its bytes.
  void leave(Fields& block, std::string_view type, std::string what) {
    if (type == "image" || type == "document") {
      const Json* source = block.any("source");
      const bool says = source != nullptr && source->is_object();
      const Json kind = says ? source->value("type", Json()) : Json();
      if (kind != "text" && kind != "content") ++beyond_.media;
      if (kind == "text" || kind == "content") beyond_.text_bytes += source->dump().size();
      if (type == "document" && (kind == "url" || kind == "file"))
        beyond_.reads_unsent("documents by their address or id");
      if (type == "document" && kind == "base64")
        beyond_.reads_unsent(std::string(wire::kUnmeasured));
    }
    if (type == "container_upload") beyond_.reads_unsent("files by their id");
    beyond_.add(std::move(what));
  }

  bool assistant_block(const std::string& type, Fields& block, const ordered_json& said,
                       std::size_t at, Turn& turn) {
    if (type == "text") return turn.text(text_of(block)), true;
    if (type == "thinking") return turn.thinking(block.required_string("thinking")), true;
    if (type == "redacted_thinking") return true;  // Nobody but its maker can read it.
    if (type != "tool_use") return false;
    std::string id = block.required_string("id"), name = block.required_string("name");
    if (block.object("input") == nullptr) block.fail("input", "is required");
    if (!error_) turn.call(std::move(id), std::move(name), said["content"][at]["input"]);
    return true;
  }

  bool user_block(const std::string& type, Fields& block, Turn& turn) {
    if (type == "text") return turn.text(text_of(block)), true;
    if (type == "image") return image(block, turn);
    if (type == "tool_result") return result(block, turn), true;
    return false;
  }

  std::string text_of(Fields& block) {
    if (block.any("citations") != nullptr) beyond_.add("citations");
    return block.required_string("text");
  }

  bool image(Fields& block, Turn& turn) {
    Json* source = block.object("source");
    if (source == nullptr) return block.fail("source", "is required"), true;
    Fields fields(*source, block.path_of("source."), error_);
    const std::string type = fields.required_string("type");
    if (type == "url") return turn.image(fields.required_string("url")), true;
    if (type != "base64") return error_.has_value();
    const std::string media = fields.required_string("media_type");
    if (!media.starts_with("image/")) beyond_.reads_unsent(std::string(wire::kUnmeasured));
    turn.image("data:" + media + ";base64," + fields.required_string("data"));
    return true;
  }

  void result(Fields& block, Turn& turn) {
    std::string id = block.required_string("tool_use_id");
    std::string text = block.boolean("is_error").value_or(false) ? "Error: " : "";
    if (block.any("content") != nullptr) {
      content(block, "content", [&](Fields& part, std::size_t) {
        const std::string type = part.required_string("type");
        if (type == "text") return void(text += part.required_string("text"));
        leave(part, type, "a tool_result with a block of type '" + type + "'");
      });
    }
    turn.result(std::move(id), std::move(text));
  }

  std::optional<Error>& error_;
  Beyond& beyond_;
};

}  // namespace

void read_conversation(Fields& request, const ordered_json& said, std::optional<Error>& error,
                       ordered_json& chat, Beyond& beyond) {
  ordered_json messages = ordered_json::array();
  Reader reader(error, beyond);
  reader.system(request, messages);
  Json* turns = request.required_array("messages", kMessagesMax);
  if (turns == nullptr) return;
  if (turns->empty()) request.fail("messages", "must have at least one message");
  for (std::size_t i = 0; i < turns->size() && !error; ++i) {
    Json* turn = request.element(*turns, "messages", i);
    if (turn == nullptr) return;
    Fields message(*turn, request.path_of(Fields::element_name("messages", i)) + ".", error);
    reader.turn(message, said["messages"][i], messages);
  }
  if (error) return;
  if (said["messages"].back()["role"] == "assistant") beyond.add("an answer that has begun");
  chat["messages"] = std::move(messages);
}

}  // namespace spillway::anthropic
