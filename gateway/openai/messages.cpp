#include "gateway/openai/messages.h"

#include "gateway/openai/callable.h"
#include "gateway/wire/attachments.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <utility>

namespace spillway::openai {
namespace {

using wire::Fields;
using wire::Json;

constexpr std::size_t kMessagesMax = 100'000;

Role role_of(std::string_view name) {
  if (name == "system") return Role::system;
  if (name == "developer") return Role::developer;
  if (name == "assistant") return Role::assistant;
  if (name == "tool" || name == "function") return Role::tool;
  return Role::user;
}

Need need_of(std::string_view type) {
  if (type == "image_url") return Need::images;
  if (type == "input_audio") return Need::audio;
  return Need::files;
}

// Or may be: at an address. Some take documents in a picture's place.
bool is_picture(Fields& fields) {
  const Json* picture = fields.any("image_url");
  if (picture == nullptr || !picture->is_object() || !picture->contains("url")) return true;
  const Json& url = (*picture)["url"];
  if (!url.is_string()) return true;
  const auto& text = url.get_ref<const std::string&>();
  return !text.starts_with("data:") || text.starts_with("data:image/");
}

bool is_address(const Json* sound) {
  if (sound == nullptr || sound->is_string()) return sound != nullptr;
  const auto data = sound->is_object() ? sound->find("data") : sound->end();
  return sound->is_object() && data != sound->end() && data->is_string() &&
         data->get_ref<const std::string&>().find("://") != std::string::npos;
}

constexpr std::string_view kElsewhere = "documents by their address";

// Whether `member` is there, and no null.
bool is_given(const Json& object, const char* member) {
  const auto found = object.find(member);
  return found != object.end() && !found->is_null();
}

// Of a file that is named by its id alone, wire::with_files tells.
std::string_view unmeasured_file(const Json* file) {
  if (file == nullptr || !file->is_object() || is_given(*file, "file_url")) return kElsewhere;
  const bool has_data = is_given(*file, "file_data");
  if (is_given(*file, "file_id")) return has_data ? kElsewhere : std::string_view();
  if (!has_data || !(*file)["file_data"].is_string()) return kElsewhere;
  const auto& data = (*file)["file_data"].get_ref<const std::string&>();
  if (data.starts_with("http")) return kElsewhere;
  return wire::is_plain_text(data) ? std::string_view() : wire::kUnmeasured;
}

// What nobody can tell the length of, or empty; a picture comes to what pictures do.
std::string_view unmeasured(std::string_view type, Fields& fields) {
  if (type == "image_url") return is_picture(fields) ? std::string_view() : wire::kUnmeasured;
  if (type == "input_audio")
    return is_address(fields.any("input_audio")) ? "sound by its address" : std::string_view();
  if (type != "file") return type.ends_with("_url") ? kElsewhere : "parts of a kind of its own";
  return unmeasured_file(fields.any("file"));
}

void read_document(const Json* file, ChatRequest& chat) {
  if (file == nullptr || !file->is_object()) return;
  const auto data = file->find("file_data");
  if (data == file->end() || !data->is_string()) return;
  const auto& text = data->get_ref<const std::string&>();
  if (wire::is_plain_text(text)) wire::add_document(text, chat);
}

void read_part(Fields fields, Message& message, ChatRequest& chat) {
  const std::string type = fields.required_string("type");
  if (type == "text" || type == "refusal") {
    message.content += fields.required_string(type);
  } else {
    message.text_only = false;
    chat.needs |= need_of(type);
    ++chat.media;
    if (type == "file") read_document(fields.any("file"), chat);
    if (const auto what = unmeasured(type, fields); !what.empty()) chat.unsent = what;
  }
}

// A string, an array of parts, or, where an assistant only called tools or a function gave nothing,
// nothing.
void read_content(Fields& fields, bool may_be_missing, Message& message, ChatRequest& chat,
                  std::optional<Error>& error) {
  Json* content = fields.any("content");
  if (content == nullptr) {
    if (!may_be_missing) fields.fail_missing("content", "a string or an array of parts");
    return;
  }
  if (content->is_string()) {
    message.content = std::move(content->get_ref<std::string&>());
    return;
  }
  if (!content->is_array()) {
    fields.fail("content", "must be a string or an array of parts", "invalid_type");
    return;
  }
  for (std::size_t i = 0; i < content->size() && !error; ++i) {
    Json* part = fields.element(*content, "content", i);
    const std::string path = fields.path_of(Fields::element_name("content", i)) + ".";
    if (part != nullptr) read_part(Fields(*part, path, error), message, chat);
  }
}

Message read_message(Fields& fields, ChatRequest& chat, std::optional<Error>& error) {
  Message message;
  if (fields.any("role") == nullptr) fields.fail_missing("role", "a string");
  const auto role =
      fields.one_of("role", {"system", "developer", "user", "assistant", "tool", "function"});
  message.role = role_of(role.value_or(""));
  message.name = fields.string("name").value_or("");
  const bool may_be_missing = role == "assistant" || role == "function";
  read_content(fields, may_be_missing, message, chat, error);
  if (fields.any("audio") != nullptr) chat.unsent = "earlier sound by its id";
  return message;
}

}  // namespace

void read_messages(Fields& request, ChatRequest& chat, std::optional<Error>& error) {
  Json* array = request.required_array("messages", kMessagesMax);
  if (array == nullptr) return;
  if (array->empty()) request.fail("messages", "must have at least one message");
  chat.messages.reserve(array->size());
  for (std::size_t i = 0; i < array->size() && !error; ++i) {
    Json* message = request.element(*array, "messages", i);
    const std::string path = Fields::element_name("messages", i) + ".";
    if (message == nullptr) return;
    Fields fields(*message, path, error);
    chat.messages.push_back(read_message(fields, chat, error));
    read_calls(*message, chat.messages.back());
    const bool is_prefix = fields.boolean("prefix").value_or(false);
    if (is_prefix && i + 1 == array->size()) chat.needs |= Need::prefix;
  }
}

}  // namespace spillway::openai
