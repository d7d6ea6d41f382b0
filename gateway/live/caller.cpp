#include "gateway/live/caller.h"

#include <boost/asio/ip/tcp.hpp>
#include <nlohmann/json.hpp>

#include <cctype>
#include <string_view>
#include <utility>

namespace spillway::live {

namespace {

using Json = nlohmann::json;
using Stream = boost::asio::ip::tcp::iostream;

std::string body_of(const Question& question) {
  Json body = {{"model", question.model},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}},
               {"min_tokens", question.completion_tokens},
               {"messages", {{{"role", "user"}, {"content", question.prompt}}}}};
  if (!question.service_tier.empty()) body["service_tier"] = question.service_tier;
  return body.dump();
}

// In HTTP/1.0, so that the answer's events come without chunks around them and end with the
// connection.
std::string request_of(const config::Endpoint& gateway, const Question& question) {
  const std::string body = body_of(question);
  std::string request = "POST /v1/chat/completions HTTP/1.0\r\nhost: " + gateway.host + ":" +
                        std::to_string(gateway.port) + "\r\ncontent-type: application/json\r\n" +
                        "content-length: " + std::to_string(body.size()) + "\r\n";
  const auto header = [&request](const char* name, const std::string& value) {
    request.append(name).append(": ").append(value).append("\r\n");
  };
  if (!question.request_class.empty()) header("x-spillway-class", question.request_class);
  if (!question.label.empty()) header("x-spillway-label", question.label);
  if (question.ttft_max) header("x-spillway-ttft-ms", std::to_string(question.ttft_max->count()));
  if (question.deadline)
    header("x-spillway-deadline-ms", std::to_string(question.deadline->count()));
  return request + "\r\n" + body;
}

// Without the line's end; false at the end of the answer.
bool read_line(Stream& stream, std::string& line) {
  if (!std::getline(stream, line)) return false;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

void read_head(Stream& stream, Heard& heard) {
  std::string line;
  read_line(stream, line);
  const bool is_well = line.starts_with("HTTP/1.") && line.find(" 200") != line.npos;
  if (!is_well) heard.trouble = line.empty() ? "no answer" : line;
  while (read_line(stream, line) && !line.empty()) {
    constexpr std::string_view kTarget = "x-spillway-target: ";
    if (line.starts_with(kTarget)) heard.target = line.substr(kTarget.size());
  }
}

void read_event(std::string_view data, Heard& heard) {
  const Json event = Json::parse(data, nullptr, false);
  if (!event.is_object()) {
    heard.trouble = "an event that is no JSON object";
  } else if (const auto error = event.find("error"); error != event.end()) {
    heard.trouble = error->is_object() ? error->value("message", "an error") : "an error";
  } else if (const auto usage = event.find("usage"); usage != event.end() && usage->is_object()) {
    heard.completion_tokens = usage->value("completion_tokens", 0);
  }
}

// An event of the common kind is told apart without reading it, or hundreds of streams at once
// would be late for their own figures.
bool is_text(std::string_view data) {
  constexpr std::string_view kContent = "\"content\":\"";
  const std::size_t at = data.find(kContent);
  return at != data.npos && data.substr(at + kContent.size(), 1) != "\"";
}

void read_events(Stream& stream, Heard& heard) {
  constexpr std::string_view kData = "data: ";
  bool whole = false;
  for (std::string line; read_line(stream, line);) {
    if (!line.starts_with(kData)) continue;
    const std::string_view data = std::string_view(line).substr(kData.size());
    if (data == "[DONE]") {
      whole = true;
    } else if (is_text(data)) {
      heard.last_token = SteadyClock::now();
      if (heard.first_token == TimePoint{}) heard.first_token = heard.last_token;
    } else {
      read_event(data, heard);
    }
  }
  if (!whole && heard.trouble.empty()) heard.trouble = "a stream without its end";
  if (whole && heard.first_token == TimePoint{}) heard.trouble = "an answer without a word";
}

}  // namespace

Heard ask(const config::Endpoint& gateway, const Question& question) {
  Heard heard;
  Stream stream;
  stream.connect(gateway.host, std::to_string(gateway.port));
  stream << request_of(gateway, question) << std::flush;
  if (!stream) {
    heard.trouble = "no gateway answers at " + gateway.host + ":" + std::to_string(gateway.port);
    return heard;
  }
  read_head(stream, heard);
  if (heard.trouble.empty()) read_events(stream, heard);
  return heard;
}

}  // namespace spillway::live
