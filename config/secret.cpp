#include "config/secret.h"

#include <algorithm>
#include <cstdlib>

namespace spillway::config {
namespace {

constexpr std::size_t kSecretBytesMax = 16 << 10;

// A secret travels in an HTTP header: what cannot stand there, or not at its ends, was not meant to
// be one.
bool fits_a_header(const std::string& secret) {
  return secret.front() != ' ' && secret.back() != ' ' &&
         std::all_of(secret.begin(), secret.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::variant<std::string, Mistake> checked(std::string secret, const std::string& place) {
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.empty()) return Mistake{place + " is empty"};
  if (!fits_a_header(secret)) {
    return Mistake{
        place +
        " begins or ends with a space, or holds line ends or other characters that no key has"};
  }
  return secret;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

std::variant<std::string, Mistake> read_secret(const std::string& source,
                                               const Environment& environment, FilesRead& files) {
  const std::string name = source.substr(source.find(':') + 1);
  if (source.starts_with("env:")) {
    const std::string place = "environment variable " + name;
    auto value = environment(name);
    if (!value) return Mistake{place + " is not set"};
    return checked(std::move(*value), place);
  }
  auto bytes = read_noted(name, kSecretBytesMax, files);
  if (const auto* unreadable = std::get_if<Unreadable>(&bytes)) {
    return Mistake{"cannot read file " + name + ": " + unreadable->reason};
  }
  return checked(std::move(std::get<std::string>(bytes)), "file " + name);
}

}  // namespace spillway::config
