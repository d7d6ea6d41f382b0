#include "gateway/openai/completion_protocol.h"

#include "gateway/openai/completion_request.h"
#include "gateway/openai/remarks.h"
#include "gateway/openai/usage_text.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <utility>

namespace spillway::openai {
namespace {

using Json = nlohmann::json;

// The members that all events and the whole answer begin with.
std::string head_of(const wire::Call& call, const std::string& model) {
  const auto mark = call.request_id.find('_');
  std::string head = R"({"id":)";
  wire::append_json_string(head, "cmpl-" + call.request_id.substr(mark + 1));
  head += R"(,"object":"text_completion","created":)";
  wire::append_json_number(head, call.created);
  head += R"(,"model":)";
  wire::append_json_string(head, model);
  return head;
}

void append_choice(std::string& out, int index, std::string_view text, std::string_view logprobs,
                   std::string_view finish, std::string_view beside) {
  out += R"({"index":)";
  wire::append_json_number(out, index);
  out += R"(,"text":)";
  wire::append_json_string(out, text);
  out += R"(,"logprobs":)";
  out += logprobs.empty() ? std::string_view("null") : logprobs;
  out += R"(,"finish_reason":)";
  wire::append_json_string_or_null(out, finish);
  append_members(out, beside);
  out += "}";
}

// The prompts that an answer repeats.
class Echoes {
 public:
  Echoes(std::vector<std::string> prompts, int choices)
      : prompts_(std::move(prompts)),
        each_(std::max<std::size_t>(
            1, static_cast<std::size_t>(choices) / std::max<std::size_t>(1, prompts_.size()))) {}

  std::size_t choices() const { return prompts_.size() * each_; }
  std::string_view of(std::size_t choice) const {
    const std::size_t at = choice / each_;
    return at < prompts_.size() ? std::string_view(prompts_[at]) : std::string_view();
  }

 private:
  const std::vector<std::string> prompts_;
  const std::size_t each_;  // Choices of one prompt.
};

class CompletionEvents final : public wire::AnswerWriter {
 public:
  CompletionEvents(std::string head, Echoes echoes, bool include_usage)
      : head_("data: " + head), echoes_(std::move(echoes)), include_usage_(include_usage) {}

  std::string begin(const wire::Opening&) override {
    std::string events;
    for (std::size_t i = 0; i < echoes_.choices(); ++i)
      events += event(static_cast<int>(i), echoes_.of(i), "", "", {});
    return events;
  }

  std::string piece(const Delta& delta) override {
    remarks_.add(delta);
    if (delta.text.empty() && delta.logprobs.empty()) return {};
    const bool is_now = delta.beside && !delta.finish;
    return event(delta.choice, delta.text, delta.logprobs, "", is_now ? *delta.beside : Beside{});
  }

  std::string end(const wire::Ending& ending) override {
    std::string events;
    int choice = 0;
    for (const FinishReason reason : ending.finishes) {
      events += event(choice, "", "", name_of(reason), remarks_.of_finish(choice));
      ++choice;
    }
    if (include_usage_) {
      events += head_ + R"(,"choices":[],"usage":)";
      append_usage(events, ending.usage, remarks_.of_usage());
      append_members(events, remarks_.of_usage().answer);
      events += "}\n\n";
    }
    return events + "data: [DONE]\n\n";
  }

  std::string failed(const Error& error) override {
    return "data: " + wire::error_object(error) + "\n\n";
  }

  void afresh() override {}

 private:
  std::string event(int choice, std::string_view text, std::string_view logprobs,
                    std::string_view finish, const Beside& beside) const {
    std::string out = head_ + R"(,"choices":[)";
    append_choice(out, choice, text, logprobs, finish, beside.choice);
    out += "]";
    append_members(out, beside.answer);
    out += include_usage_ ? R"(,"usage":null})" : "}";
    return out + "\n\n";
  }

  const std::string head_;
  const Echoes echoes_;
  const bool include_usage_;
  LastRemarks remarks_;
};

// Logprobs of a completion are lists side by side: those of the pieces follow each other.
void join(Json& whole, const std::string& text) {
  const Json piece = Json::parse(text, nullptr, false);
  if (!piece.is_object()) return;
  for (const auto& [name, value] : piece.items()) {
    if (value.is_array() && whole[name].is_array()) {
      whole[name].insert(whole[name].end(), value.begin(), value.end());
    } else if (whole[name].is_null()) {
      whole[name] = value;
    }
  }
}

class CompletionBody final : public wire::AnswerWriter {
 public:
  CompletionBody(std::string head, Echoes echoes)
      : head_(std::move(head)), echoes_(std::move(echoes)) {}

  std::string begin(const wire::Opening&) override { return {}; }

  std::string piece(const Delta& delta) override {
    const auto at = static_cast<std::size_t>(delta.choice);
    if (at >= choices_.size()) choices_.resize(at + 1);
    choices_[at].text += delta.text;
    remarks_.add(delta);
    if (!delta.logprobs.empty()) join(choices_[at].logprobs, delta.logprobs);
    return {};
  }

  std::string end(const wire::Ending& ending) override {
    choices_.resize(ending.finishes.size());
    std::string out = head_ + R"(,"choices":[)";
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) out += ",";
      const Json& logprobs = choices_[i].logprobs;
      append_choice(out, static_cast<int>(i), std::string(echoes_.of(i)) + choices_[i].text,
                    logprobs.is_null() ? std::string() : logprobs.dump(),
                    name_of(ending.finishes[i]), remarks_.of_choice(i));
    }
    out += R"(],"usage":)";
    append_usage(out, ending.usage, remarks_.of_usage());
    append_members(out, remarks_.of_answer());
    return out + "}";
  }

  std::string failed(const Error& error) override { return wire::error_object(error); }

  void afresh() override {
    choices_.clear();
    remarks_ = {};
  }

 private:
  struct Choice {
    std::string text;
    Json logprobs;
  };

  const std::string head_;
  const Echoes echoes_;
  std::vector<Choice> choices_;
  AllRemarks remarks_;
};

}  // namespace

Async<wire::Asked> CompletionProtocol::parse(wire::Call call) const {
  std::function<Result<wire::Asked>()> read = [&call] { return asked_by(call); };
  co_return co_await wire::read_in(call.room, call.tenant, call.body.size(), std::move(read));
}

Result<wire::Asked> CompletionProtocol::asked_by(wire::Call& call) {
  auto completion = parse_completion(std::move(call.body));
  if (!completion) return completion.error();
  const ChatRequest& request = *completion->request;
  std::string head = head_of(call, request.model);
  wire::Asked asked;
  Echoes echoes(std::move(completion->echoes), request.choices);
  if (request.stream) {
    asked.writer = std::make_unique<CompletionEvents>(std::move(head), std::move(echoes),
                                                      request.include_usage);
  } else {
    asked.writer = std::make_unique<CompletionBody>(std::move(head), std::move(echoes));
  }
  asked.chat = std::move(completion->request);
  return asked;
}

wire::ErrorReply CompletionProtocol::error(const Error& error, std::string_view) const {
  return wire::error_reply(error);
}

}  // namespace spillway::openai
