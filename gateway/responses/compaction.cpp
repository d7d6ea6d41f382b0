#include "gateway/responses/compaction.h"

#include "gateway/responses/response_object.h"

#include <nlohmann/json.hpp>

#include <string_view>

namespace spillway::responses {
namespace {

constexpr std::string_view kMark = "spillway-summary:";
constexpr const char* kIntroduction = "What we have talked about so far, in short:\n\n";

}  // namespace

nlohmann::ordered_json compaction_item(const std::string& id, const std::string& summary) {
  return {{"id", id}, {"type", "compaction"}, {"encrypted_content", std::string(kMark) + summary}};
}

std::optional<std::string> said_of_compaction(const nlohmann::ordered_json& item) {
  const std::string content = text_in(item, "encrypted_content");
  if (!content.starts_with(kMark)) return std::nullopt;
  return kIntroduction + content.substr(kMark.size());
}

}  // namespace spillway::responses
