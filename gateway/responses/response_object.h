// The response object: who it is, how far it has come, every setting of its request. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::responses {

// The same in all of an answer.
struct ResponseInfo {
  std::string id;  // "resp_" and `turn`.
  std::string turn;
  std::string model;  // What the client asked for.
  std::int64_t created = 0;
  std::string settings;  // As ResponseRequest's.
};

// The part of a request's id that its response's and items' ids are made of.
std::string turn_of(std::string_view request_id);
std::string response_id(std::string_view turn);

// One that has not ended. `status` is queued or in_progress.
nlohmann::ordered_json begun_response(const ResponseInfo& info, std::string_view status);

// `object` ends with these items; `completed_at` in Unix seconds.
void complete(nlohmann::ordered_json& object, nlohmann::ordered_json output, FinishReason finish,
              const Usage& usage, std::int64_t completed_at);

nlohmann::ordered_json usage_in_json(const Usage& usage);

// `object` ends without an answer.
void fail(nlohmann::ordered_json& object, std::string_view code, std::string_view message);

// An error's code as this object has it.
std::string_view failure_code(const Error& error);

std::string text_of(const nlohmann::ordered_json& object);

// The string member of that name; empty if it is none, or `object` is no object.
std::string text_in(const nlohmann::ordered_json& object, const char* name);

std::string begun_text(const ResponseInfo& info, std::string_view status);

}  // namespace spillway::responses
