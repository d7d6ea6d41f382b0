#include "gateway/anthropic/call_notes.h"

#include "gateway/wire/json_member.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace spillway::anthropic {
namespace {

using nlohmann::ordered_json;

constexpr const char* kBesideCall = "extra_content";

std::string text_of(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// The calls in a message or in a piece of one; none where there is no list.
ordered_json* calls_in(ordered_json& message) {
  const auto calls = message.is_object() ? message.find("tool_calls") : message.end();
  return calls == message.end() || !calls->is_array() ? nullptr : &*calls;
}

class NotingWriter final : public wire::AnswerWriter {
 public:
  NotingWriter(std::unique_ptr<wire::AnswerWriter> writer, std::string tenant, CallNotes& notes)
      : writer_(std::move(writer)), tenant_(std::move(tenant)), notes_(notes) {}

  std::string begin(const wire::Opening& opening) override { return writer_->begin(opening); }
  std::string piece(const Delta& delta) override {
    notes_.note(tenant_, delta);
    return writer_->piece(delta);
  }
  Async<bool> keep(const wire::Ending& ending) override { return writer_->keep(ending); }
  std::string end(const wire::Ending& ending) override { return writer_->end(ending); }
  std::string failed(const Error& error) override { return writer_->failed(error); }
  void afresh() override { writer_->afresh(); }

 private:
  const std::unique_ptr<wire::AnswerWriter> writer_;
  const std::string tenant_;
  CallNotes& notes_;
};

}  // namespace

void CallNotes::note(const std::string& tenant, const Delta& piece) {
  if (piece.extra.find(kBesideCall) == std::string::npos) return;
  ordered_json members = ordered_json::parse(piece.extra, nullptr, false);
  const ordered_json* calls = calls_in(members);
  for (std::size_t i = 0; calls != nullptr && i < calls->size(); ++i) {
    const ordered_json& call = (*calls)[i];
    const std::string id = wire::text_in(call, "id");
    if (id.empty() || !call.contains(kBesideCall) || !call[kBesideCall].is_object()) continue;
    add(tenant, id, text_of(call[kBesideCall]));
  }
}

void CallNotes::add(const std::string& tenant, const std::string& id, std::string text) {
  if (text.size() + kBytesBeside > kBytesMax) return;
  const std::lock_guard lock(mutex_);
  Notes& notes = notes_[tenant];
  const auto [noted, is_new] = notes.texts.try_emplace(id);
  if (is_new) notes.order.push_back(id);
  const std::size_t before = is_new ? 0 : noted->second.size() + kBytesBeside;
  const std::size_t after = text.size() + kBytesBeside;
  notes.bytes += after - before;
  bytes_ += after - before;
  noted->second = std::move(text);
  while (bytes_ > kBytesMax) forget_one();
}

void CallNotes::forget_one() {
  const auto most = std::ranges::max_element(
      notes_, {}, [](const auto& of_tenant) { return of_tenant.second.bytes; });
  Notes& notes = most->second;
  const auto oldest = notes.texts.find(notes.order.front());
  const std::size_t bytes = oldest->second.size() + kBytesBeside;
  notes.bytes -= bytes;
  bytes_ -= bytes;
  notes.texts.erase(oldest);
  notes.order.pop_front();
  if (notes.order.empty()) notes_.erase(most);
}

bool CallNotes::empty() const {
  const std::lock_guard lock(mutex_);
  return notes_.empty();
}

std::string CallNotes::find(const std::string& tenant, const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto notes = notes_.find(tenant);
  if (notes == notes_.end()) return {};
  const auto noted = notes->second.texts.find(id);
  return noted == notes->second.texts.end() ? std::string() : noted->second;
}

std::string CallNotes::put_into(std::string chat, const std::string& tenant) const {
  if (empty() || chat.find("\"tool_calls\"") == std::string::npos) return chat;
  ordered_json json = ordered_json::parse(chat);
  bool changed = false;
  for (ordered_json& message : json["messages"]) {
    ordered_json* calls = calls_in(message);
    for (std::size_t i = 0; calls != nullptr && i < calls->size(); ++i) {
      const std::string noted = find(tenant, wire::text_in((*calls)[i], "id"));
      if (noted.empty()) continue;
      (*calls)[i][kBesideCall] = ordered_json::parse(noted);
      changed = true;
    }
  }
  return changed ? text_of(json) : chat;
}

std::unique_ptr<wire::AnswerWriter> noting(std::unique_ptr<wire::AnswerWriter> writer,
                                           std::string tenant, CallNotes& notes) {
  return std::make_unique<NotingWriter>(std::move(writer), std::move(tenant), notes);
}

}  // namespace spillway::anthropic
