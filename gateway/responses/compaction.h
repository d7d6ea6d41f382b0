// The item that a compaction leaves of a conversation: made here, and understood when it comes
// back. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>

namespace spillway::responses {

nlohmann::ordered_json compaction_item(const std::string& id, const std::string& summary);

// What is said to the model of such an item; nothing if it was not made here.
std::optional<std::string> said_of_compaction(const nlohmann::ordered_json& item);

}  // namespace spillway::responses
