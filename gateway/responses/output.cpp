#include "gateway/responses/output.h"

#include "gateway/responses/items.h"
#include "gateway/responses/response_object.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

void append(std::string& members, std::string_view name, std::string_view text) {
  members.append(",\"").append(name).append("\":");
  wire::append_json_string(members, text);
}

// What a call's target wants back with the call, such as the signature of Gemini's thoughts.
void keep_beside(const ordered_json& call, ordered_json& item) {
  const auto beside = call.find(kBesideCall);
  if (beside != call.end() && beside->is_object()) item[kBesideCall] = *beside;
}

std::string place_of(std::size_t at) { return R"("output_index":)" + std::to_string(at); }

}  // namespace

struct Output::Items {
  ordered_json list = ordered_json::array();
  ordered_json annotations = ordered_json::array();  // Of the text that grows.
  ordered_json logprobs = ordered_json::array();     // Of it, too,
  ordered_json untold = ordered_json::array();       // …and those that its next piece tells.
};

Output::Output(Events& events, std::string turn, ReasoningManner reasoning)
    : events_(events),
      turn_(std::move(turn)),
      reasoning_(reasoning),
      items_(std::make_unique<Items>()) {}

Output::~Output() = default;

const ordered_json& Output::items() const { return items_->list; }

void Output::clear() {
  *items_ = {};
  calls_.clear();
  growing_.clear();
}

void Output::add(const Delta& delta) {
  if (!delta.reasoning.empty() || !delta.text.empty()) add_calls(calls_.rest());
  if (!delta.reasoning.empty()) say(Kind::reasoning, delta.reasoning);
  if (delta.reasoning.empty()) note_logprobs(delta.logprobs);
  if (!delta.text.empty()) say(Kind::text, delta.text);
  if (!delta.extra.empty()) add_extra(delta.extra);
}

// Of calls that were cut together those are whole whose argument is.
void Output::end(bool whole) {
  add_calls(calls_.end());
  for (const Growing& item : growing_) {
    const bool is_last = &item == &growing_.back();
    close(item, whole || (item.kind == Kind::call && !is_last && ordered_json::accept(item.text)));
  }
  growing_.clear();
}

Output::Growing* Output::growing_text() {
  const auto found = std::find_if(growing_.begin(), growing_.end(),
                                  [](const Growing& item) { return !item.is_call(); });
  return found == growing_.end() ? nullptr : &*found;
}

void Output::say(Kind kind, std::string_view piece) {
  Growing* const before = growing_text();
  grow(before && before->kind == kind ? *before : open(kind), piece);
}

void Output::add_extra(const std::string& extra) {
  const ordered_json members = ordered_json::parse(extra, nullptr, false);
  const std::string refusal = text_in(members, "refusal");
  if (!refusal.empty()) say(Kind::refusal, refusal);
  const auto notes = members.is_object() ? members.find("annotations") : members.end();
  for (std::size_t i = 0; notes != members.end() && notes->is_array() && i < notes->size(); ++i)
    annotate((*notes)[i]);
  const auto calls = members.is_object() ? members.find("tool_calls") : members.end();
  if (calls == members.end() || !calls->is_array()) return;
  for (const ordered_json& call : *calls) add_calls(calls_.add(call));
}

void Output::add_calls(const std::vector<ordered_json>& pieces) {
  for (const ordered_json& piece : pieces) add_call(piece);
}

// Where a text has it from. Chat says it in a member of the type's name.
void Output::annotate(const ordered_json& said) {
  const std::string type = text_in(said, "type");
  const auto inner = said.is_object() ? said.find(type) : said.end();
  if (type.empty() || inner == said.end() || !inner->is_object()) return;
  Growing* const before = growing_text();
  const Growing& item = before && before->kind == Kind::text ? *before : open(Kind::text);
  ordered_json annotation = {{"type", type}};
  annotation.update(*inner);
  events_.add("response.output_text.annotation.added",
              place_in(item) + R"(,"annotation_index":)" +
                  std::to_string(items_->annotations.size()) + R"(,"annotation":)" +
                  text_of(annotation));
  items_->annotations.push_back(std::move(annotation));
}

// As chat tells them: {"content": [one of each token], "refusal": null}.
void Output::note_logprobs(const std::string& logprobs) {
  if (logprobs.empty()) return;
  const ordered_json said = ordered_json::parse(logprobs, nullptr, false);
  const auto content = said.is_object() ? said.find("content") : said.end();
  if (content == said.end() || !content->is_array()) return;
  for (const ordered_json& token : *content) items_->untold.push_back(token);
}

ordered_json Output::take_logprobs() {
  ordered_json told = std::exchange(items_->untold, ordered_json::array());
  items_->logprobs.insert(items_->logprobs.end(), told.begin(), told.end());
  return told;
}

// The first piece of a call names it; the others go on with its argument.
void Output::add_call(const ordered_json& piece) {
  if (!piece.is_object()) return;
  const Kind kind = piece.contains("custom") ? Kind::custom : Kind::call;
  const ordered_json said =
      piece.value(kind == Kind::custom ? "custom" : "function", ordered_json::object());
  const auto index = piece.find("index");
  const bool counted = index != piece.end() && index->is_number_integer();
  const auto next = static_cast<std::int64_t>(growing_.size());
  const std::int64_t call = counted ? index->get<std::int64_t>() : next;
  const auto known = std::find_if(growing_.begin(), growing_.end(), [&](const Growing& item) {
    return item.is_call() && item.call == call;
  });
  if (known != growing_.end()) {
    keep_beside(piece, object_of(*known));
    return grow(*known, text_in(said, known->kind == Kind::custom ? "input" : "arguments"));
  }
  std::string id = text_in(piece, "id");
  if (id.empty()) id = "call_" + turn_ + "_" + std::to_string(items_->list.size());
  Growing& item = open(kind, id, text_in(said, "name"));
  item.call = call;
  keep_beside(piece, object_of(item));
  grow(item, text_in(said, kind == Kind::custom ? "input" : "arguments"));
}

ordered_json& Output::object_of(const Growing& item) const { return items_->list[item.at]; }

std::string Output::place_in(const Growing& item) const {
  std::string members = place_of(item.at);
  append(members, "item_id", item.id);
  if (item.is_call()) return members;
  const bool in_summary = item.kind == Kind::reasoning && reasoning_.summary;
  return members + (in_summary ? R"(,"summary_index":0)" : R"(,"content_index":0)");
}

Output::Growing& Output::open(Kind kind, std::string_view call_id, std::string_view name) {
  Growing opened{.kind = kind, .at = items_->list.size(), .id = "msg_", .text = ""};
  close_text();
  ordered_json item = {{"type", "message"}, {"id", ""}, {"status", "in_progress"}};
  if (kind == Kind::reasoning) {
    opened.id = "rs_";
    item = {{"type", "reasoning"},
            {"id", ""},
            {"summary", ordered_json::array()},
            {"status", "in_progress"}};
    if (!reasoning_.summary) item["content"] = ordered_json::array();
  } else if (opened.is_call()) {
    const bool custom = kind == Kind::custom;
    opened.id = custom ? "ctc_" : "fc_";
    item["type"] = custom ? "custom_tool_call" : "function_call";
    item["call_id"] = call_id;
    item["name"] = name;
    item[custom ? "input" : "arguments"] = "";
  } else {
    item["role"] = "assistant";
    item["content"] = ordered_json::array();
  }
  opened.id += turn_ + "_" + std::to_string(opened.at);
  item["id"] = opened.id;
  items_->list.push_back(std::move(item));
  events_.add("response.output_item.added",
              place_of(opened.at) + R"(,"item":)" + text_of(items_->list.back()));
  open_part(opened);
  return growing_.emplace_back(std::move(opened));
}

void Output::open_part(const Growing& item) {
  if (item.is_call()) return;
  if (item.kind == Kind::reasoning && reasoning_.summary) {
    events_.add("response.reasoning_summary_part.added",
                place_in(item) + R"(,"part":{"type":"summary_text","text":""})");
    return;
  }
  std::string_view part = R"({"type":"output_text","text":"","annotations":[],"logprobs":[]})";
  if (item.kind == Kind::refusal) part = R"({"type":"refusal","refusal":""})";
  if (item.kind == Kind::reasoning) part = R"({"type":"reasoning_text","text":""})";
  events_.add("response.content_part.added", place_in(item).append(R"(,"part":)").append(part));
}

void Output::grow(Growing& item, std::string_view piece) {
  if (piece.empty()) return;
  item.text += piece;
  std::string members = place_in(item);
  append(members, "delta", piece);
  switch (item.kind) {
    case Kind::text:
      return events_.add("response.output_text.delta",
                         members + R"(,"logprobs":)" + text_of(take_logprobs()));
    case Kind::refusal: return events_.add("response.refusal.delta", members);
    case Kind::call: return events_.add("response.function_call_arguments.delta", members);
    case Kind::custom: return events_.add("response.custom_tool_call_input.delta", members);
    case Kind::reasoning:
      return events_.add(reasoning_.summary ? "response.reasoning_summary_text.delta"
                                            : "response.reasoning_text.delta",
                         members);
  }
}

void Output::close_part(const Growing& item) {
  ordered_json& object = object_of(item);
  std::string members = place_in(item);
  if (item.kind == Kind::call) {
    append(members, "arguments", item.text);
    append(members, "name", text_in(object, "name"));
    object["arguments"] = item.text;
    return events_.add("response.function_call_arguments.done", members);
  }
  if (item.kind == Kind::custom) {
    append(members, "input", item.text);
    object["input"] = item.text;
    return events_.add("response.custom_tool_call_input.done", members);
  }
  finish_part(item);
}

void Output::finish_part(const Growing& item) {
  std::string members = place_in(item);
  append(members, item.kind == Kind::refusal ? "refusal" : "text", item.text);
  ordered_json logprobs = ordered_json::array();
  if (item.kind == Kind::text) {  // Those of a text that comes next stay.
    (void)take_logprobs();
    logprobs = std::exchange(items_->logprobs, ordered_json::array());
    members += R"(,"logprobs":)" + text_of(logprobs);
  }
  ordered_json part = {{"type", "output_text"},
                       {"text", item.text},
                       {"annotations", std::exchange(items_->annotations, ordered_json::array())},
                       {"logprobs", std::move(logprobs)}};
  if (item.kind == Kind::refusal) part = {{"type", "refusal"}, {"refusal", item.text}};
  const bool in_summary = item.kind == Kind::reasoning && reasoning_.summary;
  if (item.kind == Kind::reasoning)
    part = {{"type", in_summary ? "summary_text" : "reasoning_text"}, {"text", item.text}};
  const char* done = "response.output_text.done";
  if (item.kind == Kind::refusal) done = "response.refusal.done";
  if (item.kind == Kind::reasoning) {
    done = in_summary ? "response.reasoning_summary_text.done" : "response.reasoning_text.done";
  }
  events_.add(done, members);
  events_.add(in_summary ? "response.reasoning_summary_part.done" : "response.content_part.done",
              place_in(item) + R"(,"part":)" + text_of(part));
  object_of(item)[in_summary ? "summary" : "content"].push_back(std::move(part));
  if (item.kind == Kind::reasoning && reasoning_.portable)
    object_of(item)["encrypted_content"] = packed_thought(item.text);
}

void Output::close_text() {
  Growing* const before = growing_text();
  if (!before) return;
  close(*before, true);
  growing_.erase(growing_.begin() + (before - growing_.data()));
}

void Output::close(const Growing& item, bool whole) {
  close_part(item);
  ordered_json& object = object_of(item);
  object["status"] = whole ? "completed" : "incomplete";
  events_.add("response.output_item.done", place_of(item.at) + R"(,"item":)" + text_of(object));
}

}  // namespace spillway::responses
