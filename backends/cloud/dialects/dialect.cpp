#include "backends/cloud/dialects/dialect.h"

#include "backends/cloud/dialects/anthropic.h"
#include "backends/cloud/dialects/call_indexes.h"
#include "backends/cloud/dialects/members.h"
#include "backends/cloud/dialects/openai.h"
#include "backends/contract/only_there.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace spillway::cloud {
namespace {

constexpr std::size_t kBesideBytesMax = 16 << 10;
constexpr std::size_t kEmbeddingBytesMax = 4'096 * 32;  // As many numbers, each on its line.

class OpenAiReader final : public AnswerReader {
 public:
  explicit OpenAiReader(const ChatRequest& request)
      : choices_(static_cast<std::size_t>(request.choices)), stops_(request.sampling.stop) {}

  // What comes before the first word goes out with it, such as Azure's filter results of the
  // prompt.
  Parsed event(std::string_view, std::string_view data) override {
    Parsed parsed = openai::parse_chunk(data);
    note_tier(parsed);
    note_choices(parsed);
    check_stops(parsed);
    for (Delta& delta : parsed.deltas) {
      if (!delta.extra.empty())
        delta.extra = calls_[delta.choice].put_right(std::move(delta.extra));
    }
    if (parsed.kind == Parsed::Kind::done && is_short()) return amiss(std::move(parsed));
    if (parsed.beside && !parsed.usage) {
      held_ = held_ ? joined(*held_, *parsed.beside) : std::move(parsed.beside);
    } else if (held_ && !parsed.deltas.empty()) {
      auto& first = parsed.deltas.front().beside;
      first = first ? joined(*held_, *first) : std::move(held_);
      held_.reset();
    }
    return parsed;
  }

  Parsed answer(std::string_view body) override {
    Parsed parsed = openai::parse_answer(body);
    note_choices(parsed);
    check_stops(parsed);
    if (parsed.kind != Parsed::Kind::pieces || !is_short()) return parsed;
    return amiss(std::move(parsed));
  }

 private:
  // Some name it with the first words alone, and count after the last.
  void note_tier(Parsed& parsed) {
    if (parsed.at_batch_rate) at_batch_rate_ = parsed.at_batch_rate;
    if (parsed.at_dearer_rate) at_dearer_rate_ = *parsed.at_dearer_rate;
    if (parsed.usage) {
      parsed.usage->at_batch_rate = at_batch_rate_.value_or(false);
      parsed.usage->at_dearer_rate = at_dearer_rate_;
    }
    for (Delta& delta : parsed.deltas) delta.at_batch_rate = at_batch_rate_;
  }

  void note_choices(const Parsed& parsed) {
    for (const Delta& delta : parsed.deltas) {
      const auto at = static_cast<std::size_t>(delta.choice);
      if (at >= ended_.size()) ended_.resize(at + 1);
      if (delta.finish) ended_[at] = true;
    }
  }

  // Only what was asked for is a stop sequence: others have words of their own there.
  void check_stops(Parsed& parsed) const {
    for (Delta& delta : parsed.deltas) {
      if (std::find(stops_.begin(), stops_.end(), delta.stopped_by) == stops_.end())
        delta.stopped_by.clear();
    }
  }

  // Each choice of it has ended, and not as many as were asked for.
  bool is_short() const {
    const bool all = std::find(ended_.begin(), ended_.end(), false) == ended_.end();
    return all && !ended_.empty() && ended_.size() < choices_;
  }

  Parsed amiss(Parsed parsed) const {
    parsed.kind = Parsed::Kind::complaint;
    parsed.deltas.clear();
    parsed.complaint = answered_amiss("it gave " + std::to_string(ended_.size()) + " of " +
                                      std::to_string(choices_) + " choices");
    return parsed;
  }

  // Both, but of what both say about the answer the latter; alone, where it gets too much to look
  // through.
  static std::shared_ptr<const Beside> joined(const Beside& earlier, const Beside& later) {
    if (earlier.answer.size() + later.answer.size() > kBesideBytesMax)
      return std::make_shared<const Beside>(later);
    auto both = std::make_shared<Beside>(later);
    const std::string now = "{" + later.answer + "}";
    const std::string before = "{" + earlier.answer + "}";
    std::set<std::string> said;
    MemberReader said_now(now);
    while (const auto member = said_now.next()) said.insert(text_of_key(member->key));
    MemberReader said_before(before);
    while (const auto member = said_before.next()) {
      if (said.count(text_of_key(member->key)) == 0) append_member(*member, both->answer);
    }
    return both;
  }

  const std::size_t choices_;
  std::map<int, CallIndexes> calls_;  // By choice.
  const std::vector<std::string> stops_;
  std::vector<bool> ended_;  // By choice.
  std::optional<bool> at_batch_rate_;
  bool at_dearer_rate_ = false;
  std::shared_ptr<const Beside> held_;
};

class ObjectReader final : public AnswerReader {
 public:
  explicit ObjectReader(int inputs) : inputs_(inputs) {}

  Parsed event(std::string_view, std::string_view) override {
    return Parsed{.kind = Parsed::Kind::garbage};
  }
  Parsed answer(std::string_view body) override { return openai::parse_object(body, inputs_); }
  std::size_t answer_bytes_max() const override {
    return AnswerReader::answer_bytes_max() +
           static_cast<std::size_t>(inputs_) * kEmbeddingBytesMax;
  }

 private:
  const int inputs_;
};

class OpenAi final : public Dialect {
 public:
  explicit OpenAi(const openai::Ways& ways) : ways_(ways) {}

  std::string url(const ChatRequest& request, std::string_view model,
                  const Manner& manner) const override {
    const std::string_view path =
        request.endpoint == Endpoint::chat ? "chat/completions" : name_of(request.endpoint);
    if (needs_beta(request)) return openai::beta_url_of(manner.base_url, ways_.beta, path);
    return openai::url_of(manner.base_url, path, model, manner.api_version);
  }

  std::vector<std::string> headers(const std::string& key) const override {
    if (key.empty()) return {};
    return {std::string(ways_.key_header) + key};
  }

  Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                   const Manner& manner) const override {
    if (const auto error = only_there(request)) return *error;
    return openai::request_body(request, model, ways_, manner);
  }

  std::vector<std::string> left_out(const ChatRequest& request,
                                    const Manner& manner) const override {
    return openai::left_out(request, ways_, manner);
  }

  std::unique_ptr<AnswerReader> reader(const ChatRequest& request) const override {
    if (writes(request.endpoint)) return std::make_unique<OpenAiReader>(request);
    return std::make_unique<ObjectReader>(request.inputs);
  }

  std::string_view answer_name() const override { return "a chat completion"; }
  std::string_view last_event() const override { return "[DONE]"; }

  std::string_view name() const { return ways_.name; }

 private:
  // A client may ask for a prefix in its last message, too.
  bool needs_beta(const ChatRequest& request) const {
    if (ways_.beta.empty() || !writes(request.endpoint)) return false;
    if (request.endpoint == Endpoint::completions || !request.begun.empty()) return true;
    return has(request.needs, Need::prefix);
  }

  const openai::Ways& ways_;
};

std::vector<OpenAi> all_of_openai() {
  std::vector<OpenAi> all;
  for (const openai::Ways& ways : openai::all_ways()) all.emplace_back(ways);
  return all;
}

}  // namespace

const Dialect* dialect_named(std::string_view name) {
  static const std::vector<OpenAi> kOpenAis = all_of_openai();
  if (name == "anthropic") return &anthropic::dialect();
  for (const OpenAi& dialect : kOpenAis) {
    if (dialect.name() == name) return &dialect;
  }
  return nullptr;
}

}  // namespace spillway::cloud
