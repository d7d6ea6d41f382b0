#include "backends/local/answer/told_stream.h"

#include <nlohmann/json.hpp>

#include <map>
#include <random>
#include <string>
#include <utility>

namespace spillway::local::answer {
namespace {

using Json = nlohmann::json;

// Mistral's templates want nine letters and digits.
std::string new_id(bool is_short) {
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::random_device random;
  std::string id = is_short ? "" : "call_";
  for (int i = 0; i < (is_short ? 9 : 24); ++i) id += kDigits[random() % kDigits.size()];
  return id;
}

// The `tool_calls` of one piece.
class CallPieces {
 public:
  void begin(int index, std::string name, bool short_id) {
    pieces_.push_back({{"index", index},
                       {"id", new_id(short_id)},
                       {"type", "function"},
                       {"function", {{"name", std::move(name)}, {"arguments", ""}}}});
  }

  void go_on(int index, const std::string& arguments) {
    if (pieces_.empty()) pieces_.push_back({{"index", index}, {"function", {{"arguments", ""}}}});
    pieces_.back()["function"]["arguments"].get_ref<std::string&>() += arguments;
  }

  // Of Delta::extra.
  std::string text() const {
    if (pieces_.empty()) return {};
    return Json{{"tool_calls", pieces_}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

 private:
  Json pieces_ = Json::array();
};

class ToldStream final : public TokenStream {
 public:
  ToldStream(std::unique_ptr<TokenStream> text, const Expected& expected)
      : text_(std::move(text)),
        expected_(expected),
        short_ids_(expected.calls != nullptr && expected.calls->short_ids) {}

  Async<std::optional<Delta>> next(Deadline deadline) override {
    auto delta = co_await text_->next(deadline);
    if (delta && *delta) tell(**delta);
    co_return delta;
  }
  bool ready() override { return text_->ready(); }
  bool at_work() const override { return text_->at_work(); }

 private:
  // What has been told of one choice.
  struct Choice {
    AnswerReader reader;
    int calls = 0;
    int tokens = 0;  // Of pieces that said nothing.
  };

  void tell(Delta& delta) {
    const auto known = choices_.try_emplace(delta.choice, Choice{AnswerReader(expected_)});
    Choice& choice = known.first->second;
    AnswerReader& reader = choice.reader;
    const bool was_thinking = reader.in_thought();
    Parts parts = reader.push(std::exchange(delta.text, {}));
    const bool is_half = reader.in_call();
    if (delta.finish) {
      for (Part& part : reader.finish()) parts.push_back(std::move(part));
    }
    if (was_thinking || reader.in_thought()) thought_tokens_ += delta.tokens;
    write(parts, choice.calls, delta);
    choice.tokens += std::exchange(delta.tokens, 0);
    const bool is_silent = delta.text.empty() && delta.reasoning.empty() && delta.extra.empty();
    if (!is_silent || delta.finish) delta.tokens = std::exchange(choice.tokens, 0);
    if (delta.finish == FinishReason::stop && choice.calls > 0 && !is_half)
      delta.finish = FinishReason::tool_calls;
    if (delta.usage) delta.usage->reasoning_tokens = thought_tokens_;
  }

  void write(const Parts& parts, int& calls_begun, Delta& delta) {
    CallPieces calls;
    for (const Part& part : parts) {
      switch (part.kind) {
        case Part::Kind::content: delta.text += part.text; break;
        case Part::Kind::reasoning: delta.reasoning += part.text; break;
        case Part::Kind::call: calls.begin(calls_begun++, part.text, short_ids_); break;
        case Part::Kind::arguments: calls.go_on(calls_begun - 1, part.text); break;
      }
    }
    delta.extra = calls.text();
  }

  const std::unique_ptr<TokenStream> text_;
  const Expected expected_;
  const bool short_ids_;
  std::map<int, Choice> choices_;
  int thought_tokens_ = 0;
};

}  // namespace

std::unique_ptr<TokenStream> told_apart(std::unique_ptr<TokenStream> text,
                                        const Expected& expected) {
  return std::make_unique<ToldStream>(std::move(text), expected);
}

}  // namespace spillway::local::answer
