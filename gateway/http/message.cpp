#include "gateway/http/message.h"

#include "gateway/http/target.h"

#include <algorithm>
#include <cstddef>

namespace spillway::http {
namespace {

constexpr std::string_view kBearer = "bearer ";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const Header& header : headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

std::string_view Request::bearer_token() const {
  std::string_view value = header("authorization");
  if (value.size() < kBearer.size()) return {};
  for (std::size_t i = 0; i < kBearer.size(); ++i) {
    if (lower(value[i]) != kBearer[i]) return {};
  }
  value.remove_prefix(kBearer.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  return value;
}

std::string Request::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    if (!pair.starts_with(name) || !pair.substr(name.size()).starts_with('=')) continue;
    return percent_decode(pair.substr(name.size() + 1)).value_or("");
  }
  return {};
}

bool Request::may_be_json() const {
  const std::string_view encoding = header("content-encoding");
  if (!encoding.empty() && encoding != "identity") return false;
  std::string type(header("content-type"));
  std::transform(type.begin(), type.end(), type.begin(), lower);
  return type.empty() || type.find("json") != type.npos;
}

std::string_view Request::api_key() const {
  for (std::string_view key : {bearer_token(), header("x-api-key"), header("api-key")}) {
    if (!key.empty()) return key;
  }
  return {};
}

}  // namespace spillway::http
