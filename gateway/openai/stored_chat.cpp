#include "gateway/openai/stored_chat.h"

#include "gateway/openai/chat_request.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace spillway::openai {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A page of objects, each of them JSON and with an id.
std::string page_of(const std::vector<std::string>& objects, const std::vector<std::string>& ids,
                    bool has_more) {
  std::string out = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < objects.size(); ++i) out += (i > 0 ? "," : "") + objects[i];
  out += R"(],"first_id":)";
  wire::append_json_string_or_null(out, ids.empty() ? "" : ids.front());
  out += R"(,"last_id":)";
  wire::append_json_string_or_null(out, ids.empty() ? "" : ids.back());
  return out + (has_more ? R"(,"has_more":true})" : R"(,"has_more":false})");
}

}  // namespace

void keep_request(const std::string& body, wire::KeptChat& chat) {
  const Json request = Json::parse(body, nullptr, false);
  chat.messages = text_of(request.value("messages", Json::array()));
  chat.metadata = text_of(request.value("metadata", Json()));
}

std::string stored_chat(const wire::KeptChat& chat) {
  std::string out = chat.body.substr(0, chat.body.rfind('}'));
  return out + R"(,"metadata":)" + chat.metadata + "}";
}

std::string stored_chats(const std::vector<wire::KeptChat>& chats, bool has_more) {
  std::vector<std::string> objects, ids;
  for (const wire::KeptChat& chat : chats) {
    objects.push_back(stored_chat(chat));
    ids.push_back(chat.id);
  }
  return page_of(objects, ids, has_more);
}

std::string deleted_chat(std::string_view id) {
  std::string out = R"({"object":"chat.completion.deleted","id":)";
  wire::append_json_string(out, id);
  return out + R"(,"deleted":true})";
}

Result<std::string> stored_messages(const wire::KeptChat& chat, std::string_view after, int limit,
                                    bool newest_first) {
  const Json messages = Json::parse(chat.messages, nullptr, false);
  std::vector<std::pair<std::string, std::string>> all;  // Id and object.
  for (std::size_t i = 0; messages.is_array() && i < messages.size(); ++i) {
    Json message = messages[i];
    const std::string id = chat.id + "-" + std::to_string(i);
    message["id"] = id;
    if (message["content"].is_array()) {
      message["content_parts"] = message["content"];
      message["content"] = nullptr;
    }
    all.emplace_back(id, text_of(message));
  }
  if (newest_first) std::reverse(all.begin(), all.end());
  auto first = all.begin();
  if (!after.empty()) {
    first =
        std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.first == after; });
    if (first == all.end())
      return Error{Errc::invalid_request, "'after' names no message of this completion", "after",
                   std::nullopt};
    ++first;
  }
  std::vector<std::string> objects, ids;
  for (; first != all.end() && static_cast<int>(ids.size()) < limit; ++first) {
    ids.push_back(first->first);
    objects.push_back(first->second);
  }
  return page_of(objects, ids, first != all.end());
}

Result<std::string> parse_metadata(std::string_view body) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  wire::Fields request(*json, "", error);
  if (json->find("metadata") == json->end()) request.fail_missing("metadata", "an object or null");
  request.metadata();
  if (error) return *error;
  return text_of((*json)["metadata"]);
}

}  // namespace spillway::openai
