// Stored chat completions as clients read them. Pure; texts are JSON.
#pragma once

#include "backends/contract/error.h"
#include "gateway/wire/kept_chat.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::openai {

// What of a request is kept with its answer. Requires: a body that parse_chat has taken.
void keep_request(const std::string& body, wire::KeptChat& chat);

std::string stored_chat(const wire::KeptChat& chat);
std::string stored_chats(const std::vector<wire::KeptChat>& chats, bool has_more);
std::string deleted_chat(std::string_view id);

// The messages of its request, from behind `after` on or from the beginning. invalid_request: none
// of them is `after`.
Result<std::string> stored_messages(const wire::KeptChat& chat, std::string_view after, int limit,
                                    bool newest_first);

// The new metadata in the body of POST /v1/chat/completions/{id}.
Result<std::string> parse_metadata(std::string_view body);

}  // namespace spillway::openai
