#include "gateway/admin/json_answer.h"

#include <nlohmann/json.hpp>

namespace spillway::admin {

Answer in_json(int status, const nlohmann::ordered_json& value) {
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  return {status, "application/json", value.dump(2, ' ', false, kReplace) + "\n"};
}

nlohmann::ordered_json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

}  // namespace spillway::admin
