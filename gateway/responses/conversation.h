// What goes in and out of the conversations protocol: conversations, and items as they stand in
// them. Pure; any thread. JSON goes in and out as text.
#pragma once

#include "backends/contract/error.h"
#include "gateway/responses/conversations.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

// The body of POST /v1/conversations, which may be empty. `turn` is what the items' ids are made
// of.
struct ConversationRequest {
  std::string metadata;  // An object.
  std::vector<ConversationItem> items;
};
Result<ConversationRequest> parse_conversation(std::string_view body, std::string_view turn);

// The bodies of POST /v1/conversations/{id} and of POST …/items, of which each has its one field.
Result<std::string> parse_conversation_metadata(std::string_view body);
Result<std::vector<ConversationItem>> parse_conversation_items(std::string_view body,
                                                               std::string_view turn);

// Lists of a turn's items as a conversation has them: each with a status and an id of the turn,
// messages with their content in parts.
std::vector<ConversationItem> items_of_turn(const std::vector<std::string>& lists,
                                            std::string_view turn);

std::string conversation_text(const ConversationInfo& conversation);
std::string deleted_conversation_text(std::string_view id);

}  // namespace spillway::responses
