#include "gateway/responses/items.h"

#include "gateway/responses/compaction.h"
#include "gateway/responses/response_object.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;
using wire::Fields;
using wire::Json;

constexpr std::size_t kItemsMax = 100'000;
constexpr std::ptrdiff_t kReferencesMax = 1'000;
constexpr std::string_view kThoughtMark = "spillway-thought:";

std::string type_of(const ordered_json& item) {
  const std::string type = text_in(item, "type");
  return type.empty() && item.contains("role") ? "message" : type;
}

ordered_json text_part(std::string text) { return {{"type", "text"}, {"text", std::move(text)}}; }

// Of a reasoning item.
std::string thought_in(const ordered_json& item) {
  const std::string packed = text_in(item, "encrypted_content");
  if (packed.starts_with(kThoughtMark)) return packed.substr(kThoughtMark.size());
  for (const char* list : {"content", "summary"}) {
    const auto parts = item.find(list);
    if (parts == item.end() || !parts->is_array() || parts->empty()) continue;
    std::string thought;
    for (const ordered_json& part : *parts) thought += text_in(part, "text");
    return thought;
  }
  return {};
}

// One text where all parts are text, which every target can read.
ordered_json simplest(ordered_json parts) {
  std::string all;
  for (const ordered_json& part : parts) {
    if (part["type"] != "text") return parts;
    all += part["text"].get_ref<const std::string&>();
  }
  return all;
}

}  // namespace

bool names_another(const ordered_json& item) {
  const std::string type = type_of(item);
  return type == "item_reference" || (type == "reasoning" && thought_in(item).empty());
}

std::string packed_thought(const std::string& text) { return std::string(kThoughtMark) + text; }

ordered_json item_of_text(const ordered_json& text) {
  return {{"type", "message"},
          {"role", "user"},
          {"content", ordered_json::array({{{"type", "input_text"}, {"text", text}}})}};
}

std::string read_input(Fields& request, const ordered_json& said, std::string_view turn,
                       std::optional<Error>& error, std::vector<Reference>& references) {
  const Json* input = request.any("input");
  if (input == nullptr) return request.fail_missing("input", "a string or a list of items"), "[]";
  ordered_json items = ordered_json::array();
  if (input->is_string()) {
    items.push_back(item_of_text(said["input"]));
  } else if (!input->is_array() || input->size() > kItemsMax) {
    request.fail("input", "must be a string or a list of items");
  } else {
    items = said["input"];
  }
  if (items.empty()) request.fail("input", "must not be empty");
  for (std::size_t i = 0; i < items.size() && !error; ++i) {
    ordered_json& item = items[i];
    const std::string name = Fields::element_name("input", i);
    if (!item.is_object()) return request.fail(name, "must be an object"), "[]";
    const std::string type = type_of(item);
    if (type.empty()) request.fail(name + ".type", "is required");
    item["type"] = type;
    if (text_in(item, "id").empty())
      item["id"] = "msg_" + std::string(turn) + "_in" + std::to_string(i);
    if (names_another(item)) references.push_back({text_in(item, "id"), type == "item_reference"});
  }
  const auto must_be_kept = [](const Reference& one) { return one.must_be_kept; };
  if (std::count_if(references.begin(), references.end(), must_be_kept) > kReferencesMax)
    request.fail("input", "may name at most 1000 items of earlier turns");
  return text_of(items);
}

struct Messages::Said {
  ordered_json messages = ordered_json::array();
};

Messages::Messages() : said_(std::make_unique<Said>()) {}
Messages::~Messages() = default;

ordered_json Messages::take() { return std::move(said_->messages); }

void Messages::fail(const std::string& path, std::string why) {
  if (!error_)
    error_ = Error{Errc::invalid_request, "'" + path + "' " + std::move(why), path, std::nullopt};
}

void Messages::instructions(const ordered_json& text) {
  said_->messages.push_back({{"role", "system"}, {"content", text}});
}

void Messages::add(const ordered_json& item, const std::string& path) {
  const std::string type = type_of(item);
  if (type == "message") return add_message(item, path);
  if (type == "function_call") return add_call(item, false);
  if (type == "custom_tool_call") return add_call(item, true);
  if (type == "function_call_output" || type == "custom_tool_call_output")
    return add_result(item, path);
  if (type == "reasoning") return add_reasoning(item);
  if (type == "compaction") return add_compaction(item, path);
  if (type == "item_reference") return fail(path + ".id", "names an item that is not kept here");
  fail(path + ".type", "'" + type + "' cannot be read here");
}

void Messages::note_unsaid(const ordered_json& item, const char* member) {
  if (text_in(item, member).empty()) return;
  std::string field = std::string("input.") + member;
  if (std::find(unsaid_.begin(), unsaid_.end(), field) == unsaid_.end())
    unsaid_.push_back(std::move(field));
}

void Messages::add_message(const ordered_json& item, const std::string& path) {
  const std::string role = text_in(item, "role");
  const bool known =
      role == "user" || role == "assistant" || role == "system" || role == "developer";
  if (!known) return fail(path + ".role", "must be one of user, assistant, system, developer");
  const auto content = item.find("content");
  if (content == item.end() || content->is_null()) return fail(path + ".content", "is required");
  note_unsaid(item, "phase");
  ordered_json message = {{"role", role}, {"content", parts_of(*content, path + ".content")}};
  if (role == "assistant" && !reasoning_.empty())
    message["reasoning_content"] = std::exchange(reasoning_, {});
  said_->messages.push_back(std::move(message));
}

ordered_json& Messages::assistant() {
  ordered_json& messages = said_->messages;
  const bool open = !messages.empty() && messages.back()["role"] == "assistant";
  if (!open) messages.push_back({{"role", "assistant"}, {"content", nullptr}});
  if (!reasoning_.empty()) messages.back()["reasoning_content"] = std::exchange(reasoning_, {});
  return messages.back();
}

void Messages::add_call(const ordered_json& item, bool custom) {
  tools_ = true;
  const char* kind = custom ? "custom" : "function";
  const char* argument = custom ? "input" : "arguments";
  ordered_json call = {{"id", text_in(item, "call_id")}, {"type", kind}};
  call[kind] = {{"name", text_in(item, "name")}, {argument, text_in(item, argument)}};
  const auto beside = item.find(kBesideCall);
  if (beside != item.end() && beside->is_object()) call[kBesideCall] = *beside;
  assistant()["tool_calls"].push_back(std::move(call));
}

void Messages::add_result(const ordered_json& item, const std::string& path) {
  tools_ = true;
  const auto output = item.find("output");
  if (text_in(item, "call_id").empty()) return fail(path + ".call_id", "is required");
  if (output == item.end()) return fail(path + ".output", "is required");
  said_->messages.push_back({{"role", "tool"},
                             {"tool_call_id", item["call_id"]},
                             {"content", parts_of(*output, path + ".output")}});
}

void Messages::add_reasoning(const ordered_json& item) {
  const std::string thought = thought_in(item);
  if (thought.empty()) note_unsaid(item, "encrypted_content");  // Its maker alone can read it.
  reasoning_ += thought;
}

void Messages::add_compaction(const ordered_json& item, const std::string& path) {
  auto said = said_of_compaction(item);
  if (!said) return fail(path + ".encrypted_content", "was not made by this gateway");
  said_->messages.push_back({{"role", "user"}, {"content", std::move(*said)}});
}

ordered_json Messages::parts_of(const ordered_json& content, const std::string& path) {
  if (content.is_string()) return content;
  ordered_json parts = ordered_json::array();
  if (!content.is_array()) return fail(path, "must be a string or a list of parts"), parts;
  for (std::size_t i = 0; i < content.size() && !error_; ++i)
    parts.push_back(part_of(content[i], Fields::element_name(path, i)));
  return error_ ? parts : simplest(std::move(parts));
}

ordered_json Messages::part_of(const ordered_json& part, const std::string& path) {
  const std::string type = text_in(part, "type");
  if (type == "input_text" || type == "output_text" || type == "text" || type == "refusal") {
    const char* name = type == "refusal" ? "refusal" : "text";
    if (!part.contains(name) || !part[name].is_string())
      fail(path + "." + name, "must be a string");
    return text_part(text_in(part, name));
  }
  const bool is_kept = !text_in(part, "file_id").empty();  // As wire::with_files finds it.
  if (type == "input_image" && (is_kept || !text_in(part, "image_url").empty())) {
    ordered_json image = is_kept ? ordered_json{{"file_id", part["file_id"]}}
                                 : ordered_json{{"url", part["image_url"]}};
    if (!text_in(part, "detail").empty()) image["detail"] = part["detail"];
    return {{"type", "image_url"}, {"image_url", std::move(image)}};
  }
  if (type == "input_file" && (is_kept || !text_in(part, "file_data").empty())) {
    const char* name = is_kept ? "file_id" : "file_data";
    ordered_json file = {{name, part[name]}};
    if (!text_in(part, "filename").empty()) file["filename"] = part["filename"];
    return {{"type", "file"}, {"file", std::move(file)}};
  }
  if (type == "input_audio" && part.contains("input_audio"))
    return {{"type", "input_audio"}, {"input_audio", part["input_audio"]}};
  fail(path, "of type '" + type + "' cannot be read here");
  return nullptr;
}

}  // namespace spillway::responses
