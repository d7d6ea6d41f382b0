#include "gateway/anthropic/blocks.h"

#include <nlohmann/json.hpp>

namespace spillway::anthropic {
namespace {

using Json = nlohmann::json;

std::string text_in(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

}  // namespace

void Blocks::add(const Delta& delta) {
  if (!delta.reasoning.empty()) add(BlockKind::thinking, delta.reasoning);
  if (!delta.text.empty()) add(BlockKind::text, delta.text);
  if (!delta.extra.empty()) add_extra(delta.extra);
}

void Blocks::end() {
  if (open_) sink_.close(*open_);
  open_.reset();
}

void Blocks::open(BlockKind kind, std::string_view id, std::string_view name) {
  end();
  sink_.open(kind, id, name);
  open_ = kind;
}

void Blocks::add(BlockKind kind, std::string_view piece) {
  if (open_ != kind) open(kind, "", "");
  sink_.grow(kind, piece);
}

void Blocks::add_extra(const std::string& extra) {
  const Json members = Json::parse(extra, nullptr, false);
  const std::string refusal = text_in(members, "refusal");
  if (!refusal.empty()) add(BlockKind::text, refusal);
  const auto calls = members.is_object() ? members.find("tool_calls") : members.end();
  if (calls == members.end() || !calls->is_array()) return;
  for (const Json& call : *calls) add_call(call);
}

// The first piece of a call names it; the others go on with its arguments.
void Blocks::add_call(const Json& piece) {
  if (!piece.is_object()) return;
  const auto index = piece.find("index");
  const bool counted = index != piece.end() && index->is_number_integer();
  const std::int64_t call = counted ? index->get<std::int64_t>() : call_ + 1;
  const Json function = piece.value("function", Json::object());
  if (open_ != BlockKind::tool_use || call != call_) {
    std::string id = text_in(piece, "id");
    if (id.empty()) id = "toolu_" + answer_id_ + "_" + std::to_string(calls_);
    ++calls_;
    open(BlockKind::tool_use, id, text_in(function, "name"));
    call_ = call;
  }
  const std::string arguments = text_in(function, "arguments");
  if (!arguments.empty()) sink_.grow(BlockKind::tool_use, arguments);
}

}  // namespace spillway::anthropic
