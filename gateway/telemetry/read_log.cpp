#include "gateway/telemetry/read_log.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <ctime>
#include <deque>
#include <fstream>
#include <iterator>
#include <string_view>

namespace spillway::telemetry {
namespace {

using nlohmann::json;

// As log.cpp begins each line.
constexpr std::string_view kBegin = R"({"ts":)";

// "2026-01-31T09:05:00.123456789Z" in seconds since 1970.
std::optional<double> moment_of(const std::string& stamp) {
  std::tm utc{};
  const char* const rest = strptime(stamp.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr) return std::nullopt;
  double fraction = 0.0;
  if (*rest == '.') std::from_chars(rest, stamp.c_str() + stamp.size(), fraction);
  return static_cast<double>(timegm(&utc)) + fraction;
}

double seconds(const json& line, const char* name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_number() ? found->get<double>() * 1e-3 : 0.0;
}

LoggedTarget target_of(const json& one) {
  return {.name = one.value("target", ""),
          .available = one.value("available", true),
          .ttft = seconds(one, "ttft_ms"),
          .finish = seconds(one, "finish_ms")};
}

LoggedAttempt attempt_of(const json& one) {
  const std::string failure = one.value("failure", "");
  const bool is_its_fault = failure == name_of(Errc::backend_unavailable) ||
                            failure == name_of(Errc::deadline_exceeded) ||
                            failure == name_of(Errc::overloaded);
  return {.target = one.value("target", ""),
          .failed = !failure.empty(),
          .is_its_fault = is_its_fault,
          .seconds = seconds(one, "ms")};
}

// Throws where a member has another type than the log's.
std::optional<LoggedRequest> request_of(const json& line) {
  if (!line.is_object() || line.value("msg", "") != "request" || !line.contains("explanation"))
    return std::nullopt;
  const auto ended = moment_of(line.value("ts", ""));
  if (!ended) return std::nullopt;
  LoggedRequest request{.arrived = *ended - seconds(line, "total_ms"),
                        .id = line.value("request_id", ""),
                        .model = line.value("model_requested", ""),
                        .request_class = line.value("class", ""),
                        .key_name = line.value("key_name", ""),
                        .tenant = line.value("tenant", ""),
                        .label = line.value("label", ""),
                        .service_tier = line.value("service_tier", ""),
                        .endpoint = line.value("endpoint", ""),
                        .reason = line.value("reason", ""),
                        .streaming = line.value("stream", false),
                        .prompt_tokens = line.value("prompt_tokens", 0),
                        .completion_tokens = line.value("completion_tokens", 0),
                        .cached_tokens = line.value("cached_tokens", 0),
                        .tokens_max = std::nullopt,
                        .per_token = seconds(line, "per_token_ms"),
                        .considered = {},
                        .attempts = {}};
  if (line.contains("tokens_max")) request.tokens_max = line["tokens_max"].get<int>();
  for (const json& one : line.value("considered", json::array()))
    request.considered.push_back(target_of(one));
  for (const json& one : line.value("attempts", json::array()))
    request.attempts.push_back(attempt_of(one));
  return request;
}

std::optional<LoggedRequest> parsed(const std::string& text) {
  if (!std::string_view(text).starts_with(kBegin)) return std::nullopt;
  try {
    return request_of(json::parse(text));
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

bool is_log(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string begin(kBegin.size(), '\0');
  return file.read(begin.data(), static_cast<std::streamsize>(begin.size())) && begin == kBegin;
}

Result<std::vector<LoggedRequest>> read_log(const std::string& path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{Errc::invalid_request, "cannot read " + path, "", std::nullopt};
  std::deque<LoggedRequest> last;
  for (std::string line; std::getline(file, line);) {
    auto request = parsed(line);
    if (!request) continue;
    last.push_back(std::move(*request));
    if (last.size() > most) last.pop_front();
  }
  if (last.empty())
    return Error{Errc::invalid_request,
                 path + ": has no requests: name a log that `spillway serve` has written", "",
                 std::nullopt};
  return std::vector<LoggedRequest>(std::make_move_iterator(last.begin()),
                                    std::make_move_iterator(last.end()));
}

}  // namespace spillway::telemetry
