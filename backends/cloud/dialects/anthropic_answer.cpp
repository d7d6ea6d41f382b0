#include "backends/cloud/dialects/anthropic.h"
#include "backends/cloud/dialects/json_check.h"
#include "backends/cloud/dialects/members.h"

#include <nlohmann/json.hpp>

#include <limits>
#include <utility>

namespace spillway::cloud::anthropic {

namespace {

constexpr int kBlocksMax = 10'000;
constexpr int kTokensOfAStart = 16;             // Are counted before a word, at most.
constexpr std::size_t kHeldBytesMax = 4 << 20;  // Before the first word.

// What Anthropic counts apart: the prompt is the sum.
class Counts {
 public:
  void take(std::string_view object) {
    Prompt prompt = prompt_;
    prompt.written_1h = 0;
    MemberReader reader(object);
    while (const auto one = reader.next()) {
      if (one->value == "null") continue;
      absurd_ = absurd_ || is_negative(one->value);
      if (one->is("input_tokens")) prompt.fresh = count_of(one->value);
      if (one->is("cache_read_input_tokens")) prompt.read = count_of(one->value);
      if (one->is("cache_creation_input_tokens")) prompt.written = count_of(one->value);
      if (one->is("cache_creation"))
        prompt.written_1h = count_of(member_of(one->value, "ephemeral_1h_input_tokens"));
      if (one->is("output_tokens")) grow(answer_, one->value);
      if (one->is("output_tokens_details"))
        grow(thinking_, member_of(one->value, "thinking_tokens"));
      if (one->is("server_tool_use")) grow(searches_, member_of(one->value, "web_search_requests"));
      if (one->is("speed")) dearer_ |= one->value == R"("fast")";
      if (one->is("inference_geo")) dearer_ |= one->value == R"("us")";
      if (one->is("iterations")) take_all(one->value);
    }
    grow(prompt);
  }

  // Nothing, until a prompt has been counted: that is no answer for free.
  std::optional<Usage> usage() const {
    Usage usage;
    const std::int64_t prompt = prompt_.tokens();
    usage.prompt_tokens = static_cast<int>(std::min<std::int64_t>(prompt, kMost));
    if (absurd_ || prompt == 0) return std::nullopt;
    usage.cached_tokens =
        static_cast<int>(std::min<std::int64_t>(prompt_.read, usage.prompt_tokens));
    usage.cache_written_tokens = static_cast<int>(
        std::min<std::int64_t>(prompt_.all_written(), usage.prompt_tokens - usage.cached_tokens));
    usage.cache_written_1h_tokens =
        static_cast<int>(std::min<std::int64_t>(prompt_.written_1h, usage.cache_written_tokens));
    usage.completion_tokens = std::max(answer_, thinking_);
    usage.reasoning_tokens = thinking_;
    usage.contradictory = thinking_ > answer_;
    usage.searches = searches_;
    usage.at_dearer_rate = dearer_;
    return usage;
  }

 private:
  struct Prompt {
    std::int64_t fresh = 0, read = 0, written = 0;
    std::int64_t written_1h = 0;  // Of `written`, which may not be told.

    std::int64_t all_written() const { return std::max(written, written_1h); }
    std::int64_t tokens() const { return fresh + read + all_written(); }
  };

  // All are told as they are so far: what is told again as less was left out.
  static void grow(int& count, std::string_view told) { grow(count, count_of(told)); }
  static void grow(int& count, std::int64_t told) {
    count = static_cast<int>(std::min<std::int64_t>(std::max<std::int64_t>(count, told), kMost));
  }

  // Who tells as much of it again may tell better what of it was cached: a fallback credit is told
  // as less that was written and as much more that was read.
  void grow(const Prompt& told) {
    if (told.tokens() >= prompt_.tokens()) {
      const auto for_an_hour = std::min(prompt_.written_1h, told.written);
      prompt_ = told;
      prompt_.written_1h = std::max(told.written_1h, for_an_hour);
      return;
    }
    prompt_.fresh = std::max(prompt_.fresh, told.fresh);
    prompt_.read = std::max(prompt_.read, told.read);
    prompt_.written = std::max(prompt_.written, told.written);
    prompt_.written_1h = std::max(prompt_.written_1h, told.written_1h);
  }

  // An answer that took several goes is billed for each, its own counts are the last one's:
  // https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage
  void take_all(std::string_view iterations) {
    Prompt prompt;
    std::int64_t answer = 0;
    ElementReader reader(iterations);
    while (const auto one = reader.next()) {
      const auto count = [&](std::string_view name) { return count_of(member_of(*one, name)); };
      prompt.fresh += count("input_tokens");
      prompt.read += count("cache_read_input_tokens");
      prompt.written += count("cache_creation_input_tokens");
      prompt.written_1h +=
          count_of(member_of(member_of(*one, "cache_creation"), "ephemeral_1h_input_tokens"));
      answer += count("output_tokens");
      const std::string type = text_in(*one, "type");
      dearer_ |= type.starts_with("advisor") || type.starts_with("fallback");  // Another model's.
    }
    grow(prompt);
    grow(answer_, answer);
  }

  static constexpr int kMost = std::numeric_limits<int>::max();
  Prompt prompt_;
  int answer_ = 0, thinking_ = 0;
  int searches_ = 0;
  bool absurd_ = false;
  bool dearer_ = false;  // Than its price, or by another model's.
};

std::optional<FinishReason> finish_reason_of(std::string_view name) {
  if (name == "end_turn" || name == "stop_sequence" || name == "pause_turn" || name == "compaction")
    return FinishReason::stop;
  if (name == "max_tokens" || name == "model_context_window_exceeded") return FinishReason::length;
  if (name == "tool_use") return FinishReason::tool_calls;
  if (name == "refusal") return FinishReason::content_filter;
  return std::nullopt;
}

nlohmann::json piece_of_call(int index, std::string arguments) {
  return {{"index", index}, {"function", {{"arguments", std::move(arguments)}}}};
}

std::string extra_of(nlohmann::json calls) {
  const nlohmann::json extra = {{"tool_calls", std::move(calls)}};
  return extra.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The end of an answer into `delta`; false if it ended as no answer does.
bool finish(std::string_view holder, Delta& delta) {
  delta.finish = finish_reason_of(text_in(holder, "stop_reason"));
  delta.stopped_by = text_in(holder, "stop_sequence");
  return delta.finish.has_value();
}

// Searches that a block begins; -1 if it says that one failed, which nobody bills.
int searches_of(std::string_view type, std::string_view block) {
  if (type == "server_tool_use") return text_in(block, "name") == "web_search" ? 1 : 0;
  if (type != "web_search_tool_result") return 0;
  return text_in(member_of(block, "content"), "type") == "web_search_tool_result_error" ? -1 : 0;
}

class Reader final : public AnswerReader {
 public:
  explicit Reader(bool original) : original_(original) {}

  Parsed event(std::string_view, std::string_view data) override {
    if (!is_json(data)) return Parsed::garbage();
    const std::string type = text_in(data, "type");
    if (type.empty()) return Parsed::garbage();
    if (type == "error") return Parsed::complain(parse_complaint(data).value_or(Complaint{}));
    Delta delta;
    Parsed parsed = understand(type, data, delta);
    if (parsed.kind != Parsed::Kind::pieces && parsed.kind != Parsed::Kind::done) return parsed;
    if (original_)
      held_.append("event: ").append(type).append("\ndata: ").append(data).append("\n\n");
    if (held_.size() > kHeldBytesMax) return Parsed::garbage();
    const bool says = !delta.text.empty() || !delta.reasoning.empty() || !delta.extra.empty() ||
                      delta.searches != 0 || delta.finish.has_value();
    begun_ |= says;
    // What comes before the first word goes out with it: until then, another target may answer.
    if (says || (begun_ && original_)) {
      delta.original = std::exchange(held_, {});
      parsed.deltas.push_back(std::move(delta));
    }
    return parsed;
  }

  Parsed answer(std::string_view body) override {
    if (!is_json(body)) return Parsed::garbage();
    const std::string type = text_in(body, "type");
    if (type == "error") return Parsed::complain(parse_complaint(body).value_or(Complaint{}));
    if (type != "message") return Parsed::garbage();
    Delta delta;
    nlohmann::json calls = nlohmann::json::array();
    ElementReader blocks(member_of(body, "content"));
    while (const auto block = blocks.next()) read_block(*block, delta, calls);
    if (!calls.empty()) delta.extra = extra_of(std::move(calls));
    counts_.take(member_of(body, "usage"));
    Parsed parsed;
    parsed.usage = counts_.usage();
    if (!finish(body, delta)) return amiss(std::move(parsed), body);
    const std::string_view content = member_of(body, "content");
    if (content == "[]" || content == "null") waive(delta.finish, parsed);
    if (original_) delta.original = body;
    parsed.deltas.push_back(std::move(delta));
    return parsed;
  }

 private:
  Parsed understand(std::string_view type, std::string_view data, Delta& delta) {
    Parsed parsed;
    if (type == "message_start") {
      counts_.take(member_of(member_of(data, "message"), "usage"));
      parsed.usage = counts_.usage();  // The prompt is owed from here on, however it ends.
    }
    if (type == "content_block_start") start_block(member_of(data, "content_block"), delta);
    if (type == "content_block_delta") grow_block(member_of(data, "delta"), delta);
    if (type == "content_block_stop") end_block(delta);
    if (type == "message_delta") {
      counts_.take(member_of(data, "usage"));
      parsed.usage = counts_.usage();
      const std::string_view end = member_of(data, "delta");
      if (!member_of(end, "stop_reason").empty() && !finish(end, delta))
        return amiss(std::move(parsed), end);
      if (!has_blocks_) waive(delta.finish, parsed);
    }
    if (type == "message_stop") parsed.kind = Parsed::Kind::done;
    return parsed;
  }

  // Who refuses before a word asks nothing for it:
  // https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
  static void waive(std::optional<FinishReason> finish, Parsed& parsed) {
    const bool refused = finish == FinishReason::content_filter && parsed.usage;
    if (refused && parsed.usage->completion_tokens <= kTokensOfAStart)
      parsed.usage->unbilled = true;
  }

  static Parsed amiss(Parsed parsed, std::string_view holder) {
    parsed.kind = Parsed::Kind::complaint;
    parsed.complaint = ended_amiss(text_in(holder, "stop_reason"));
    return parsed;
  }

  void start_block(std::string_view block, Delta& delta) {
    has_blocks_ = true;
    const std::string type = text_in(block, "type");
    delta.text = type == "text" ? text_in(block, "text") : "";
    delta.reasoning = type == "thinking" ? text_in(block, "thinking") : "";
    delta.searches = searches_of(type, block);
    in_call_ = type == "tool_use";
    if (!in_call_ || calls_ >= kBlocksMax) return;
    nlohmann::json call = piece_of_call(calls_++, "");
    call["id"] = text_in(block, "id");
    call["type"] = "function";
    call["function"]["name"] = text_in(block, "name");
    delta.extra = extra_of(nlohmann::json::array({std::move(call)}));
    input_ = member_of(block, "input");
  }

  // A call that code made is told at once, with its block; others begin as {} and grow.
  void end_block(Delta& delta) {
    const std::string input = std::exchange(input_, {});
    if (input.empty() || input == "{}") return;
    nlohmann::json call = piece_of_call(calls_ - 1, input);
    delta.extra = extra_of(nlohmann::json::array({std::move(call)}));
  }

  void grow_block(std::string_view piece, Delta& delta) {
    const std::string type = text_in(piece, "type");
    if (type == "text_delta") delta.text = text_in(piece, "text");
    if (type == "thinking_delta") delta.reasoning = text_in(piece, "thinking");
    if (type != "input_json_delta" || !in_call_) return;
    std::string arguments = text_in(piece, "partial_json");
    if (arguments.empty()) return;
    input_.clear();
    nlohmann::json call = piece_of_call(calls_ - 1, std::move(arguments));
    delta.extra = extra_of(nlohmann::json::array({std::move(call)}));
  }

  void read_block(std::string_view block, Delta& delta, nlohmann::json& calls) {
    const std::string type = text_in(block, "type");
    delta.searches += searches_of(type, block);
    if (type == "text") delta.text += text_in(block, "text");
    if (type == "thinking") delta.reasoning += text_in(block, "thinking");
    if (type != "tool_use" || calls_ >= kBlocksMax) return;
    nlohmann::json call = piece_of_call(calls_++, std::string(member_of(block, "input")));
    call["id"] = text_in(block, "id");
    call["type"] = "function";
    call["function"]["name"] = text_in(block, "name");
    calls.push_back(std::move(call));
  }

  const bool original_;
  Counts counts_;
  std::string held_;    // Events that have not gone out.
  bool begun_ = false;  // Some of the answer has.
  bool has_blocks_ = false;
  bool in_call_ = false;  // The block that is open is a tool_use,
  std::string input_;     // …and this is what it was called with, if nothing grows it.
  int calls_ = 0;
};

}  // namespace

std::unique_ptr<AnswerReader> reader(bool original) { return std::make_unique<Reader>(original); }

}  // namespace spillway::cloud::anthropic
