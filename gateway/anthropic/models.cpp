#include "gateway/anthropic/models.h"

#include "gateway/wire/json_text.h"

#include <ctime>
#include <string_view>

namespace spillway::anthropic {
namespace {

// "2026-11-27T00:35:46Z"
std::string instant(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc));
}

void append(std::string& out, std::string_view name, std::string_view value) {
  out.append(",\"").append(name).append("\":");
  wire::append_json_string(out, value);
}

}  // namespace

std::string model_object(const std::string& model, std::int64_t since) {
  std::string out = R"({"type":"model")";
  append(out, "id", model);
  append(out, "display_name", model);
  append(out, "created_at", instant(since));
  return out + "}";
}

std::string model_list(const std::vector<std::string>& models, std::int64_t since) {
  std::string out = R"({"has_more":false,"data":[)";
  for (const std::string& model : models) {
    if (&model != &models.front()) out += ",";
    out += model_object(model, since);
  }
  out += "]";
  if (!models.empty()) {
    append(out, "first_id", models.front());
    append(out, "last_id", models.back());
  }
  return out + "}";
}

}  // namespace spillway::anthropic
