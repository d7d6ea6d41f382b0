#include "backends/cloud/dialects/call_indexes.h"

#include "backends/cloud/dialects/json_check.h"
#include "backends/cloud/dialects/members.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace spillway::cloud {
namespace {

constexpr std::size_t kCallsMax = 1'000;  // More are left as they are.

std::optional<std::int64_t> index_in(std::string_view piece) {
  const std::string_view token = member_of(piece, "index");
  std::int64_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  const bool whole = error == std::errc() && end == token.data() + token.size();
  return whole && !token.empty() ? std::optional(index) : std::nullopt;
}

// The first piece of a call has its name.
bool is_named(std::string_view piece) {
  return !text_in(member_of(piece, "function"), "name").empty() ||
         !text_in(member_of(piece, "custom"), "name").empty();
}

bool is_whole(std::string_view piece) {
  const std::string arguments = text_in(member_of(piece, "function"), "arguments");
  return !arguments.empty() && is_json(arguments);
}

std::string with_index(std::string_view piece, std::int64_t index) {
  std::string members = R"("index":)" + std::to_string(index);
  MemberReader reader(piece);
  while (const auto member = reader.next()) {
    if (!member->is("index")) append_member(*member, members);
  }
  return "{" + members + "}";
}

}  // namespace

std::string CallIndexes::put_right(std::string extra) {
  const std::string_view list = member_of(extra, "tool_calls");
  if (list.empty()) return extra;
  std::string calls;
  bool changed = false;
  ElementReader pieces(list);
  while (const auto piece = pieces.next()) {
    if (calls_.size() >= kCallsMax) return extra;
    const std::int64_t index = index_of(*piece);
    const bool right = index_in(*piece) == index;
    changed = changed || !right;
    calls += calls.empty() ? "" : ",";
    calls += right ? std::string(*piece) : with_index(*piece, index);
  }
  if (!changed) return extra;
  std::string members;
  MemberReader reader(extra);
  while (const auto member = reader.next()) {
    if (!member->is("tool_calls")) append_member(*member, members);
  }
  return "{" + members + (members.empty() ? "" : ",") + R"("tool_calls":[)" + calls + "]}";
}

std::int64_t CallIndexes::index_of(std::string_view piece) {
  const auto said = index_in(piece);
  std::string id = text_in(piece, "id");
  const auto latest = std::find_if(calls_.rbegin(), calls_.rend(), [&](const Call& call) {
    return said ? call.said == said : id.empty() || call.id == id;
  });
  const bool whole = is_whole(piece);
  if (latest == calls_.rend()) return begin(said, std::move(id), whole);
  const bool has_ids = !id.empty() && !latest->id.empty();
  const bool is_another = has_ids ? said && latest->id != id : latest->whole;
  if (is_another && is_named(piece)) return begin(said, std::move(id), whole);
  latest->whole = latest->whole || (is_named(piece) && whole);
  return latest->index;
}

std::int64_t CallIndexes::begin(std::optional<std::int64_t> said, std::string id, bool whole) {
  std::int64_t next = 0;
  bool is_taken = false;
  for (const Call& call : calls_) {
    next = std::max(next, call.index + 1);
    is_taken = is_taken || call.index == said;
  }
  const std::int64_t index = said && !is_taken ? *said : next;
  calls_.push_back({said, std::move(id), index, whole});
  return index;
}

}  // namespace spillway::cloud
