#include "gateway/responses/conversation.h"

#include "gateway/responses/items.h"
#include "gateway/responses/response_object.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;
using wire::Fields;
using wire::Json;

constexpr std::size_t kItemsMax = 20;  // Of one request.

std::string_view prefix_of(const std::string& type) {
  if (type == "message") return "msg_";
  if (type == "reasoning") return "rs_";
  return type.starts_with("function_call") ? "fc_" : "item_";
}

ordered_json in_parts(const ordered_json& text, const std::string& role) {
  if (role == "assistant")
    return ordered_json::array(
        {{{"type", "output_text"}, {"text", text}, {"annotations", ordered_json::array()}}});
  return ordered_json::array({{{"type", "input_text"}, {"text", text}}});
}

ConversationItem item_of(ordered_json said, std::string_view turn, std::size_t at) {
  const bool untold = text_in(said, "type").empty();
  const std::string type = untold ? "message" : text_in(said, "type");
  std::string id = text_in(said, "id");
  if (id.find('_' + std::string(turn) + '_') == id.npos)
    id = std::string(prefix_of(type)) + std::string(turn) + "_in" + std::to_string(at);
  ordered_json item = {{"type", type}, {"id", id}};
  if (text_in(said, "status").empty()) item["status"] = "completed";
  said.erase("type");
  said.erase("id");
  if (said.contains("content") && said["content"].is_string())
    said["content"] = in_parts(said["content"], text_in(said, "role"));
  item.update(said);
  return {std::move(id), text_of(item)};
}

// Of the field `items`; what could not be told to a model later is refused now.
class ItemsReader {
 public:
  ItemsReader(Fields& fields, const ordered_json& said, std::string_view turn)
      : fields_(fields), said_(said), turn_(turn) {}

  std::vector<ConversationItem> read() {
    const Json* list = fields_.array("items", kItemsMax);
    std::vector<ConversationItem> items;
    if (list == nullptr) return items;
    Messages messages;
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string name = Fields::element_name("items", i);
      const ordered_json& item = said_["items"][i];
      if (!item.is_object()) return fields_.fail(name, "must be an object"), items;
      messages.add(item, name);
      items.push_back(item_of(item, turn_, i));
    }
    wrong_ = messages.error();
    return items;
  }

  const std::optional<Error>& wrong() const { return wrong_; }

 private:
  Fields& fields_;
  const ordered_json& said_;
  const std::string_view turn_;
  std::optional<Error> wrong_;
};

}  // namespace

Result<ConversationRequest> parse_conversation(std::string_view body, std::string_view turn) {
  if (body.empty()) body = "{}";
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  const ordered_json said = ordered_json::parse(body);
  std::optional<Error> error;
  Fields fields(*json, "", error);
  ItemsReader reader(fields, said, turn);
  ConversationRequest request;
  request.items = reader.read();
  const Json* metadata = fields.metadata();
  request.metadata = metadata != nullptr ? text_of(said["metadata"]) : "{}";
  if (error) return *error;
  if (reader.wrong()) return *reader.wrong();
  return request;
}

Result<std::string> parse_conversation_metadata(std::string_view body) {
  auto request = parse_conversation(body, "");
  if (!request) return request.error();
  if (!ordered_json::parse(body.empty() ? "{}" : body).contains("metadata"))
    return Error{Errc::invalid_request, "'metadata' is what there is to change: an object",
                 "metadata", std::nullopt};
  return std::move(request->metadata);
}

Result<std::vector<ConversationItem>> parse_conversation_items(std::string_view body,
                                                               std::string_view turn) {
  auto request = parse_conversation(body, turn);
  if (!request) return request.error();
  if (request->items.empty())
    return Error{Errc::invalid_request, "'items' must be a list of 1 to 20 items", "items",
                 std::nullopt};
  return std::move(request->items);
}

std::vector<ConversationItem> items_of_turn(const std::vector<std::string>& lists,
                                            std::string_view turn) {
  std::vector<ConversationItem> items;
  for (const std::string& list : lists) {
    std::size_t at = 0;
    for (ordered_json& item : ordered_json::parse(list))
      items.push_back(item_of(std::move(item), turn, at++));
  }
  return items;
}

std::string conversation_text(const ConversationInfo& conversation) {
  return text_of(ordered_json{{"id", conversation.id},
                              {"object", "conversation"},
                              {"created_at", conversation.created},
                              {"metadata", ordered_json::parse(conversation.metadata)}});
}

std::string deleted_conversation_text(std::string_view id) {
  return text_of(ordered_json{{"id", id}, {"object", "conversation.deleted"}, {"deleted", true}});
}

}  // namespace spillway::responses
