#include "backends/contract/json_depth.h"
#include "backends/local/loader/json_internal.h"

#include <exception>
#include <filesystem>
#include <fstream>
#include <utility>

namespace spillway::loader {
namespace {

constexpr int kDepthMax = 32;

Error failed(const std::string& what, const std::string& why) {
  return Error{Errc::internal, what + ": " + why};
}

// Without a doubt which of a Result's two this is: Json is made of anything.
Result<Json> whole(Json json) { return {boost::system::in_place_value, std::move(json)}; }

// The library's own words, without its name and number.
std::string reason_of(const std::exception& problem) {
  const std::string text = problem.what();
  const std::size_t end = text.find("] ");
  return end == std::string::npos ? text : text.substr(end + 2);
}

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& what) {
  if (nests_deeper_than(text, kDepthMax)) return failed(what, "it nests deeper than 32 levels");
  try {
    return whole(Json::parse(text));
  } catch (const std::exception& problem) {
    return failed(what, reason_of(problem));
  }
}

Result<std::optional<std::string>> text_in(const std::string& folder, const std::string& name,
                                           std::uint64_t bytes_max) {
  const std::string path = folder + "/" + name;
  std::error_code unreadable;
  if (!std::filesystem::exists(path, unreadable)) return std::optional<std::string>();
  if (!std::filesystem::is_regular_file(path, unreadable))
    return failed(path, "is not a regular file");
  std::ifstream file(path, std::ios::binary);
  std::string text;
  const auto size = std::filesystem::file_size(path, unreadable);
  if (size > bytes_max) {
    return failed(path, "has " + std::to_string(size) + " bytes, and at most " +
                            std::to_string(bytes_max) + " are read");
  }
  text.resize(static_cast<std::size_t>(size));
  if (!file.read(text.data(), static_cast<std::streamsize>(size))) {
    return failed(path, "cannot be read");
  }
  return std::optional(std::move(text));
}

Result<Json> object_in(const std::string& folder, const std::string& name,
                       std::uint64_t bytes_max) {
  const auto text = text_in(folder, name, bytes_max);
  if (!text) return text.error();
  if (!*text) return whole(Json::object());
  auto json = parse_json(**text, folder + "/" + name);
  if (json && !json->is_object()) return failed(folder + "/" + name, "is not a JSON object");
  return json;
}

const Json& at_or_null(const Json& object, std::string_view key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

}  // namespace spillway::loader
