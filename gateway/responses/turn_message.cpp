#include "gateway/responses/turn_message.h"

#include "gateway/responses/response_object.h"
#include "gateway/wire/errors.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"

#include <nlohmann/json.hpp>

#include <optional>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

constexpr int kBadRequest = 400;

}  // namespace

Result<std::string> body_of_turn(std::string_view message) {
  auto json = wire::parse_object(message);
  if (!json) return json.error();
  std::optional<Error> error;
  wire::Fields fields(*json, "", error);
  const std::string type = fields.required_string("type");
  if (!type.empty() && type != "response.create") fields.fail("type", "must be response.create");
  if (fields.boolean("background").value_or(false))
    fields.fail("background", "is not for a WebSocket: POST it");
  if (!fields.boolean("generate").value_or(true))
    fields.fail("generate", "must be left out: there is nothing here to warm up");
  if (fields.any("stream_id") != nullptr)
    fields.fail("stream_id", "must be left out: a connection answers one turn at a time");
  if (error) return *error;
  ordered_json body = ordered_json::parse(message);
  for (const char* name : {"type", "generate", "background"}) body.erase(name);
  body["stream"] = true;
  return text_of(body);
}

std::string error_message(int status, std::string_view error_object) {
  std::string message = R"({"type":"error","status":)" + std::to_string(status) + ",";
  return message.append(error_object.substr(1));
}

std::string too_old_message() {
  Error error{Errc::invalid_request, "the connection is 60 minutes old: go on with another", "",
              std::nullopt};
  error.kind = "websocket_connection_limit_reached";
  return error_message(kBadRequest, wire::error_object(error));
}

}  // namespace spillway::responses
