#include "gateway/responses/output.h"

#include "gateway/responses/response_object.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

void append(std::string& members, std::string_view name, std::string_view text) {
  members.append(",\"").append(name).append("\":");
  wire::append_json_string(members, text);
}

}  // namespace

struct Output::Items {
  ordered_json list = ordered_json::array();
};

Output::Output(Events& events, std::string turn, bool summary)
    : events_(events),
      turn_(std::move(turn)),
      summary_(summary),
      items_(std::make_unique<Items>()) {}

Output::~Output() = default;

const ordered_json& Output::items() const { return items_->list; }

void Output::clear() {
  items_->list = ordered_json::array();
  kind_ = Kind::none;
  call_ = -1;
}

void Output::add(const Delta& delta) {
  if (!delta.reasoning.empty()) grow(Kind::reasoning, delta.reasoning);
  if (!delta.text.empty()) grow(Kind::text, delta.text);
  if (!delta.extra.empty()) add_extra(delta.extra);
}

void Output::end(bool whole) { close(whole ? "completed" : "incomplete"); }

void Output::add_extra(const std::string& extra) {
  const ordered_json members = ordered_json::parse(extra, nullptr, false);
  const std::string refusal = text_in(members, "refusal");
  if (!refusal.empty()) grow(Kind::refusal, refusal);
  const auto calls = members.is_object() ? members.find("tool_calls") : members.end();
  if (calls == members.end() || !calls->is_array()) return;
  for (const ordered_json& call : *calls) add_call(call);
}

// The first piece of a call names it; the others go on with its argument.
void Output::add_call(const ordered_json& piece) {
  if (!piece.is_object()) return;
  const auto index = piece.find("index");
  const bool counted = index != piece.end() && index->is_number_integer();
  const std::int64_t call = counted ? index->get<std::int64_t>() : call_ + 1;
  const bool goes_on = (kind_ == Kind::call || kind_ == Kind::custom) && call == call_;
  const Kind kind = piece.contains("custom") ? Kind::custom : Kind::call;
  const ordered_json said =
      piece.value(kind == Kind::custom ? "custom" : "function", ordered_json::object());
  if (!goes_on) {
    std::string id = text_in(piece, "id");
    if (id.empty()) id = "call_" + turn_ + "_" + std::to_string(items_->list.size());
    open(kind, id, text_in(said, "name"));
    call_ = call;
  }
  grow(kind_, text_in(said, kind_ == Kind::custom ? "input" : "arguments"));
}

std::string Output::place() const {
  return R"("output_index":)" + std::to_string(items_->list.size() - 1);
}

std::string Output::place_in_item() const {
  std::string members = place();
  append(members, "item_id", id_);
  if (kind_ == Kind::call || kind_ == Kind::custom) return members;
  const bool in_summary = kind_ == Kind::reasoning && summary_;
  return members + (in_summary ? R"(,"summary_index":0)" : R"(,"content_index":0)");
}

void Output::open(Kind kind, std::string_view call_id, std::string_view name) {
  close("completed");
  kind_ = kind;
  text_.clear();
  const char* prefix = "msg_";
  ordered_json item = {{"type", "message"}, {"id", ""}, {"status", "in_progress"}};
  if (kind == Kind::reasoning) {
    prefix = "rs_";
    item = {{"type", "reasoning"},
            {"id", ""},
            {"summary", ordered_json::array()},
            {"status", "in_progress"}};
    if (!summary_) item["content"] = ordered_json::array();
  } else if (kind == Kind::call || kind == Kind::custom) {
    const bool custom = kind == Kind::custom;
    prefix = custom ? "ctc_" : "fc_";
    item["type"] = custom ? "custom_tool_call" : "function_call";
    item["call_id"] = call_id;
    item["name"] = name;
    item[custom ? "input" : "arguments"] = "";
  } else {
    item["role"] = "assistant";
    item["content"] = ordered_json::array();
  }
  id_ = prefix + turn_ + "_" + std::to_string(items_->list.size());
  item["id"] = id_;
  items_->list.push_back(std::move(item));
  events_.add("response.output_item.added", place() + R"(,"item":)" + text_of(items_->list.back()));
  open_part();
}

void Output::open_part() {
  if (kind_ == Kind::call || kind_ == Kind::custom) return;
  if (kind_ == Kind::reasoning && summary_) {
    events_.add("response.reasoning_summary_part.added",
                place_in_item() + R"(,"part":{"type":"summary_text","text":""})");
    return;
  }
  std::string_view part = R"({"type":"output_text","text":"","annotations":[],"logprobs":[]})";
  if (kind_ == Kind::refusal) part = R"({"type":"refusal","refusal":""})";
  if (kind_ == Kind::reasoning) part = R"({"type":"reasoning_text","text":""})";
  events_.add("response.content_part.added", place_in_item().append(R"(,"part":)").append(part));
}

void Output::grow(Kind kind, std::string_view piece) {
  if (kind_ != kind) open(kind);
  if (piece.empty()) return;
  text_ += piece;
  std::string members = place_in_item();
  append(members, "delta", piece);
  switch (kind) {
    case Kind::text:
      return events_.add("response.output_text.delta", members + R"(,"logprobs":[])");
    case Kind::refusal: return events_.add("response.refusal.delta", members);
    case Kind::call: return events_.add("response.function_call_arguments.delta", members);
    case Kind::custom: return events_.add("response.custom_tool_call_input.delta", members);
    case Kind::reasoning:
      return events_.add(
          summary_ ? "response.reasoning_summary_text.delta" : "response.reasoning_text.delta",
          members);
    case Kind::none: return;
  }
}

void Output::close_part() {
  ordered_json& item = items_->list.back();
  std::string members = place_in_item();
  if (kind_ == Kind::call) {
    append(members, "arguments", text_);
    append(members, "name", text_in(item, "name"));
    item["arguments"] = text_;
    return events_.add("response.function_call_arguments.done", members);
  }
  if (kind_ == Kind::custom) {
    append(members, "input", text_);
    item["input"] = text_;
    return events_.add("response.custom_tool_call_input.done", members);
  }
  finish_part(item);
}

void Output::finish_part(ordered_json& item) {
  std::string members = place_in_item();
  append(members, kind_ == Kind::refusal ? "refusal" : "text", text_);
  ordered_json part = {{"type", "output_text"},
                       {"text", text_},
                       {"annotations", ordered_json::array()},
                       {"logprobs", ordered_json::array()}};
  if (kind_ == Kind::refusal) part = {{"type", "refusal"}, {"refusal", text_}};
  const bool in_summary = kind_ == Kind::reasoning && summary_;
  if (kind_ == Kind::reasoning)
    part = {{"type", in_summary ? "summary_text" : "reasoning_text"}, {"text", text_}};
  if (kind_ == Kind::text) members += R"(,"logprobs":[])";
  const char* done = "response.output_text.done";
  if (kind_ == Kind::refusal) done = "response.refusal.done";
  if (kind_ == Kind::reasoning) {
    done = in_summary ? "response.reasoning_summary_text.done" : "response.reasoning_text.done";
  }
  events_.add(done, members);
  events_.add(in_summary ? "response.reasoning_summary_part.done" : "response.content_part.done",
              place_in_item() + R"(,"part":)" + text_of(part));
  item[in_summary ? "summary" : "content"].push_back(std::move(part));
}

void Output::close(std::string_view status) {
  if (kind_ == Kind::none) return;
  close_part();
  ordered_json& item = items_->list.back();
  item["status"] = status;
  events_.add("response.output_item.done", place() + R"(,"item":)" + text_of(item));
  kind_ = Kind::none;
}

}  // namespace spillway::responses
