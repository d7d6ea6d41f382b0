#include "gateway/anthropic/blocks.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace spillway::anthropic {
namespace {

using Json = nlohmann::ordered_json;

std::string text_in(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

}  // namespace

void Blocks::add(const Delta& delta) {
  if (!delta.reasoning.empty() || !delta.text.empty()) add_calls(calls_.rest());
  if (!delta.reasoning.empty()) add(BlockKind::thinking, delta.reasoning);
  if (!delta.text.empty()) add(BlockKind::text, delta.text);
  if (!delta.extra.empty()) add_extra(delta.extra);
  begin_whose_turn_it_is();
}

void Blocks::end() {
  add_calls(calls_.end());
  while (!waiting_.empty()) begin_next();
  if (open_) sink_.close(open_->kind);
  open_.reset();
}

void Blocks::afresh() {
  calls_.clear();
  open_.reset();
  waiting_.clear();
  waiting_bytes_ = 0;
  begun_.reset();
  next_call_ = 0;
}

bool Blocks::is_open(BlockKind kind, std::int64_t call) const {
  return open_ && open_->kind == kind && (kind != BlockKind::tool_use || open_->call == call);
}

bool Blocks::call_goes_on() const {
  return open_ && open_->kind == BlockKind::tool_use && !arguments_.whole();
}

Blocks::Block* Blocks::waiting_call(std::int64_t call) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [call](const Block& block) {
    return block.kind == BlockKind::tool_use && block.call == call;
  });
  return found == waiting_.end() ? nullptr : &*found;
}

void Blocks::begin(Block block) {
  if (open_) sink_.close(open_->kind);
  sink_.open(block.kind, block.id, block.name);
  arguments_ = {};
  open_ = std::move(block);
}

void Blocks::grow(std::string_view piece) {
  if (piece.empty()) return;
  if (open_->kind == BlockKind::tool_use) arguments_.add(piece);
  sink_.grow(open_->kind, piece);
}

void Blocks::begin_next() {
  Block next = std::move(waiting_.front());
  waiting_.pop_front();
  const std::string waited = std::exchange(next.waiting, {});
  waiting_bytes_ -= waited.size();
  begin(std::move(next));
  grow(waited);
}

void Blocks::begin_whose_turn_it_is() {
  const bool too_many = waiting_bytes_ > kWaitingBytesMax || waiting_.size() > kWaitingMax;
  while (!waiting_.empty() && (too_many || !call_goes_on())) begin_next();
}

void Blocks::wait(Block block, std::string_view piece) {
  const bool goes_on =
      block.kind != BlockKind::tool_use && !waiting_.empty() && waiting_.back().kind == block.kind;
  if (!goes_on) waiting_.push_back(std::move(block));
  waiting_.back().waiting += piece;
  waiting_bytes_ += piece.size();
}

// A new block, now or when its turn comes.
void Blocks::take(Block block, std::string_view piece) {
  if (call_goes_on()) return wait(std::move(block), piece);
  begin(std::move(block));
  grow(piece);
}

void Blocks::add(BlockKind kind, std::string_view piece) {
  if (is_open(kind, 0)) return grow(piece);
  take({.kind = kind}, piece);
}

void Blocks::add_extra(const std::string& extra) {
  const Json members = Json::parse(extra, nullptr, false);
  const std::string refusal = text_in(members, "refusal");
  if (!refusal.empty()) add(BlockKind::text, refusal);
  const auto calls = members.is_object() ? members.find("tool_calls") : members.end();
  if (calls == members.end() || !calls->is_array()) return;
  for (const Json& call : *calls) add_calls(calls_.add(call));
}

void Blocks::add_calls(const std::vector<Json>& pieces) {
  for (const Json& piece : pieces) add_call(piece);
}

// The first piece of a call names it; the others go on with its arguments.
void Blocks::add_call(const Json& piece) {
  if (!piece.is_object()) return;
  const auto index = piece.find("index");
  const bool counted = index != piece.end() && index->is_number_integer();
  const std::int64_t call = counted ? index->get<std::int64_t>() : next_call_;
  if (call < 0 || call >= kCallsMax) return;
  const Json function = piece.value("function", Json::object());
  const std::string arguments = text_in(function, "arguments");
  if (is_open(BlockKind::tool_use, call)) {
    grow(arguments);
  } else if (Block* waits = waiting_call(call)) {
    waits->waiting += arguments;
    waiting_bytes_ += arguments.size();
  } else if (!begun_[static_cast<std::size_t>(call)]) {
    std::string id = text_in(piece, "id");
    if (id.empty()) id = "toolu_" + answer_id_ + "_" + std::to_string(begun_.count());
    begun_.set(static_cast<std::size_t>(call));
    next_call_ = std::max(next_call_, call + 1);
    take({BlockKind::tool_use, call, std::move(id), text_in(function, "name"), ""}, arguments);
  }
}

}  // namespace spillway::anthropic
