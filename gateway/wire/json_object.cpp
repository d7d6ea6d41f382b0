#include "gateway/wire/json_object.h"

#include "backends/contract/json_depth.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <simdjson.h>
#include <string>
#include <utility>
#include <vector>

namespace spillway::wire {
namespace {

using Json = nlohmann::json;
namespace dom = simdjson::dom;

constexpr int kValuesMax = 1'000'000;  // A request for embeddings may have 300,000 tokens.
// Objects that keep their order are searched from the front: each member is compared with those
// before.
constexpr std::size_t kComparedMax = 8 << 20;

Error invalid(std::string message) {
  return Error{Errc::invalid_request, std::move(message), "", std::nullopt};
}

// What only an attacker writes: it would take memory, or the time of all who use a worker.
class Size {
 public:
  // False if there are too many, so far.
  bool value() { return ++values_ <= kValuesMax; }
  bool members(std::size_t of_one) {
    members_ += of_one;
    compared_ += of_one * of_one / 2;
    return of_one <= kJsonMembersMax && members_ <= kJsonAllMembersMax && compared_ <= kComparedMax;
  }

 private:
  int values_ = 0;
  std::size_t members_ = 0;
  std::size_t compared_ = 0;
};

bool copy(const dom::element& value, Size& size, Json& out);

bool copy_list(const dom::array& elements, Size& size, Json& out) {
  out = Json::array();
  for (const dom::element element : elements) {
    if (!copy(element, size, out.emplace_back())) return false;
  }
  return true;
}

bool copy_object(const dom::object& members, Size& size, Json& out) {
  out = Json::object();
  if (!size.members(members.size())) return false;
  for (const auto [key, member] : members) {
    if (!copy(member, size, out[std::string(key)])) return false;
  }
  return true;
}

bool copy(const dom::element& value, Size& size, Json& out) {
  if (!size.value()) return false;
  switch (value.type()) {
    case dom::element_type::STRING: out = std::string(std::string_view(value)); break;
    case dom::element_type::INT64: {
      const std::int64_t number(value);
      out = number < 0 ? Json(number) : Json(static_cast<std::uint64_t>(number));
      break;
    }
    case dom::element_type::UINT64: out = std::uint64_t(value); break;
    case dom::element_type::DOUBLE: out = double(value); break;
    case dom::element_type::BOOL: out = bool(value); break;
    case dom::element_type::NULL_VALUE: out = nullptr; break;
    case dom::element_type::ARRAY: return copy_list(dom::array(value), size, out);
    case dom::element_type::OBJECT: return copy_object(dom::object(value), size, out);
  }
  return true;
}

Error too_large() {
  return invalid("the request body has more than " + std::to_string(kValuesMax) +
                 " values, or more than " + std::to_string(kJsonMembersMax) +
                 " members in one object, or " + std::to_string(kJsonAllMembersMax) +
                 " in all, or several objects of hundreds");
}

// What is right and nests sanely; nothing for the rest, as simdjson does not say where it is wrong.
std::optional<Result<Json>> quick_object(std::string_view body) {
  dom::parser parser;
  if (parser.allocate(std::max<std::size_t>(body.size(), 64), kJsonNestingMax)) return std::nullopt;
  dom::element root;
  if (parser.parse(body.data(), body.size()).get(root) || !root.is_object()) return std::nullopt;
  Size size;
  Json json;
  if (!copy(root, size, json)) return too_large();
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

// The same by nlohmann's parser, which says where it is wrong. It takes a NUL for the end.
Result<Json> slow_object(std::string_view body) {
  Size size;
  std::vector<std::size_t> members;
  bool fits = body.find('\0') == body.npos;
  if (!fits) return invalid("the request body has a NUL byte");
  const auto count = [&](int, Json::parse_event_t event, Json&) {
    if (event == Json::parse_event_t::object_start) members.push_back(0);
    if (event == Json::parse_event_t::key) ++members.back();
    if (event == Json::parse_event_t::object_end) {
      fits = fits && size.members(members.back());
      members.pop_back();
    }
    fits = fits && size.value();
    return fits;
  };
  Json json = Json::parse(body.data(), body.data() + body.size(), count);
  if (!fits) return too_large();
  if (!json.is_object()) return invalid("the request body must be a JSON object");
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

}  // namespace

Result<Json> parse_object(std::string_view body) {
  // A parser would hold ten times their bytes before the last is known.
  if (has_more_values(body, kValuesMax)) return too_large();
  if (auto read = quick_object(body)) return std::move(*read);
  if (nests_deeper_than(body, kJsonNestingMax)) {
    return invalid("the request body nests more than " + std::to_string(kJsonNestingMax) +
                   " levels deep");
  }
  try {
    return slow_object(body);
  } catch (const Json::parse_error& error) {
    return invalid("the request body is not valid JSON at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    return invalid("the request body has a number that is too large");
  }
}

}  // namespace spillway::wire
