#include "gateway/batch/line.h"

#include "gateway/wire/json_object.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace spillway::batch {
namespace {

using Json = nlohmann::json;
using wire::append_json_string;

constexpr std::size_t kCustomIdMax = 512;
constexpr std::uint64_t kTokensMax = 10'000'000;  // No answer and no prompt has more.

Fault fault(std::string code, std::string message, std::string param = "") {
  return {std::move(code), std::move(message), std::move(param), 0};
}

const std::string* text_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return nullptr;
  return &found->get_ref<const std::string&>();
}

std::optional<Fault> fault_of_body(const Json& body, Line& line) {
  const auto* model = text_at(body, "model");
  if (model == nullptr || model->empty())
    return fault("missing_required_parameter", "the body needs a 'model'", "body.model");
  line.model = *model;
  const auto stream = body.find("stream");
  if (stream != body.end() && !stream->is_null() && *stream != false)
    return fault("invalid_value", "a batch's answers cannot be streamed", "body.stream");
  return std::nullopt;
}

std::optional<Fault> fault_of(const Json& json, std::string_view endpoint, Line& line) {
  for (const char* name : {"custom_id", "method", "url"}) {
    if (text_at(json, name) == nullptr) {
      return fault("missing_required_parameter",
                   "the line needs a string '" + std::string(name) + "'", name);
    }
  }
  line.custom_id = *text_at(json, "custom_id");
  if (line.custom_id.empty() || line.custom_id.size() > kCustomIdMax)
    return fault("invalid_value", "must have 1 to 512 bytes", "custom_id");
  if (*text_at(json, "method") != "POST") return fault("invalid_method", "must be POST", "method");
  if (*text_at(json, "url") != endpoint)
    return fault("invalid_url", "must be the batch's endpoint, " + std::string(endpoint), "url");
  const auto body = json.find("body");
  if (body == json.end() || !body->is_object())
    return fault("missing_required_parameter", "the line needs an object 'body'", "body");
  return fault_of_body(*body, line);
}

// A count that an answer may have; the sum of a batch's holds them all.
std::int64_t number_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_integer()) return 0;
  if (found->is_number_unsigned())
    return static_cast<std::int64_t>(std::min(found->get<std::uint64_t>(), kTokensMax));
  return 0;
}

std::int64_t number_in(const Json& object, const char* part, const char* name) {
  const auto found = object.find(part);
  return found != object.end() && found->is_object() ? number_at(*found, name) : 0;
}

// Of chat completions, completions and embeddings, or of responses: whichever names are there.
Tokens tokens_in(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  Tokens tokens;
  if (!json.is_object()) return tokens;
  const auto usage = json.find("usage");
  if (usage == json.end() || !usage->is_object()) return tokens;
  tokens.input = number_at(*usage, "prompt_tokens") + number_at(*usage, "input_tokens");
  tokens.output = number_at(*usage, "completion_tokens") + number_at(*usage, "output_tokens");
  tokens.cached = number_in(*usage, "prompt_tokens_details", "cached_tokens") +
                  number_in(*usage, "input_tokens_details", "cached_tokens");
  tokens.reasoning = number_in(*usage, "completion_tokens_details", "reasoning_tokens") +
                     number_in(*usage, "output_tokens_details", "reasoning_tokens");
  return tokens;
}

// JSON on one line: line ends can only stand between its values.
std::string on_one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::replace(text.begin(), text.end(), '\r', ' ');
  return text;
}

std::string head_of(std::string_view id, const LineRef& line) {
  std::string out = R"({"id":)";
  append_json_string(out, id);
  out += R"(,"custom_id":)";
  append_json_string(out, line.custom_id);
  return out;
}

std::size_t past_string(std::string_view text, std::size_t at) {
  for (++at; text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
  return at + 1;
}

// As JSON means it: "b\u006fdy" is "body".
bool is_body(std::string_view name) {
  if (name.find('\\') == std::string_view::npos) return name == "body";
  return Json::parse('"' + std::string(name) + '"', nullptr, false) == "body";
}

std::size_t past_blanks(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(" \t\r\n,:", at), text.size());
}

std::size_t past_value(std::string_view text, std::size_t at) {
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (depth == 0 && (c == ',' || c == '}')) return at;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    at = c == '"' ? past_string(text, at) : at + 1;
  }
  return at;
}

}  // namespace

std::string_view name_of(State state) {
  switch (state) {
    case State::validating: return "validating";
    case State::in_progress: return "in_progress";
    case State::finalizing: return "finalizing";
    case State::completed: return "completed";
    case State::failed: return "failed";
    case State::expired: return "expired";
    case State::cancelling: return "cancelling";
    case State::cancelled: return "cancelled";
  }
  return "";
}

Judged judge(std::string_view text, std::string_view endpoint) {
  Judged judged;
  const auto json = wire::parse_object(text);
  judged.fault =
      json ? fault_of(*json, endpoint, judged.line)
           : fault("invalid_json_line", "this line cannot be read: " + json.error().message);
  return judged;
}

std::string_view body_of(std::string_view text) {
  std::string_view body;
  std::size_t at = past_blanks(text, text.find('{') + 1);
  while (at < text.size() && text[at] == '"') {
    const auto name_end = past_string(text, at);
    const std::string_view name = text.substr(at + 1, name_end - at - 2);
    const auto value = past_blanks(text, name_end), value_end = past_value(text, value);
    if (is_body(name)) body = text.substr(value, value_end - value);
    at = past_blanks(text, value_end);
  }
  return body;
}

LineResult result_of(const LineRef& line, const Answer& answer) {
  LineResult result{line.number, answer.status == 200, "", {}};
  if (result.completed) result.tokens = tokens_in(answer.body);
  std::string& out = result.text;
  out = head_of("batch_req_" + answer.request_id.substr(answer.request_id.find('_') + 1), line);
  out += R"(,"response":{"status_code":)" + std::to_string(answer.status) + R"(,"request_id":)";
  append_json_string(out, answer.request_id);
  out += R"(,"body":)" + on_one_line(answer.body.empty() ? "null" : answer.body);
  if (!answer.left_out.empty()) {
    out += R"(,"x_spillway_left_out":)";
    append_json_string(out, answer.left_out);
  }
  out += R"(},"error":null})";
  return result;
}

LineResult expired_result(const LineRef& line) {
  LineResult result{
      line.number, false, head_of("batch_expired_" + std::to_string(line.number), line), {}};
  result.text += R"(,"response":null,"error":{"code":"batch_expired","message":)"
                 R"("This request could not be executed before the completion window expired."}})";
  return result;
}

}  // namespace spillway::batch
