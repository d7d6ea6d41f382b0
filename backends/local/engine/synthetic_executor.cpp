#include "backends/local/engine/synthetic_executor.h"

#include "backends/contract/deadline.h"
#include "backends/local/sample/sampler.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <thread>

namespace spillway::local {

namespace {

constexpr std::int32_t kEnd = 0;
constexpr std::array<std::string_view, 8> kWords{" water", " rises", " and",  " what",
                                                 " the",   " dam",   " does", " not"};
constexpr std::size_t kBytesPerToken = 4;
constexpr int kTokensPerMessage = 4;  // What a template writes around a message.

// What it says next of what may be said: what brings it to an end, else what is likeliest to be
// right.
std::int32_t first_of(std::span<const std::uint32_t> mask) {
  const auto is_allowed = [mask](std::int32_t id) {
    return (mask[static_cast<std::size_t>(id) / 32] >> (id % 32) & 1) != 0;
  };
  if (is_allowed(kEnd)) return kEnd;
  for (const char c : std::string_view("\"}]")) {
    if (is_allowed(kSyntheticWords + c)) return kSyntheticWords + c;
  }
  for (std::int32_t id = kSyntheticWords + '!'; id < kSyntheticVocabulary; ++id) {
    if (is_allowed(id)) return id;
  }
  std::int32_t id = 1;
  while (id < kSyntheticVocabulary - 1 && !is_allowed(id)) ++id;
  return id;
}

std::string text_of(std::int32_t id) {
  if (id == kEnd) return "";
  if (id >= kSyntheticWords) return std::string(1, static_cast<char>(id - kSyntheticWords));
  return std::string(kWords[static_cast<std::size_t>(id) % kWords.size()]);
}

// The likeliest is what it says, the others follow by their ids.
void append_logits(std::int32_t said, std::vector<float>& logits) {
  for (std::int32_t id = 0; id < kSyntheticVocabulary; ++id)
    logits.push_back(id == said ? 4.0f : 1.0f / static_cast<float>(1 + id));
}

class SyntheticStream final : public TextStream {
 public:
  std::string push(std::int32_t id) override { return text_of(id); }
  std::string finish() override { return {}; }
};

class SyntheticCodec final : public TextCodec {
 public:
  Result<std::vector<std::int32_t>> encode(const std::vector<Message>& messages, const Tools* tools,
                                           std::string_view begun, int) const override {
    std::vector<std::int32_t> ids;
    if (tools != nullptr) append(tools->text, ids);
    for (const Message& message : messages) {
      ids.insert(ids.end(), kTokensPerMessage, 1);
      append(message.content, ids);
    }
    ids.push_back(1);
    append(begun, ids);
    return ids;
  }

  Result<std::vector<std::int32_t>> encode_text(std::string_view text, int) const override {
    std::vector<std::int32_t> ids;
    append(text, ids);
    return ids;
  }

  answer::AnswerStyle style() const override { return {answer::syntax_named("hermes"), false}; }

  int vocabulary_size() const override { return kSyntheticVocabulary; }

  grammar::Vocabulary vocabulary() const override {
    grammar::Vocabulary vocabulary;
    vocabulary.end_ids = end_ids_;
    for (std::int32_t id = 0; id < kSyntheticVocabulary; ++id)
      vocabulary.bytes.push_back(text_of(id));
    return vocabulary;
  }

  std::unique_ptr<TextStream> open_stream(bool) const override {
    return std::make_unique<SyntheticStream>();
  }

  std::string spelling(std::int32_t id) const override { return text_of(id); }

  const std::vector<std::int32_t>& end_ids() const override { return end_ids_; }

 private:
  static void append(std::string_view text, std::vector<std::int32_t>& ids) {
    for (std::size_t at = 0; at < text.size(); at += kBytesPerToken)
      ids.push_back(static_cast<unsigned char>(text[at]));
  }

  const std::vector<std::int32_t> end_ids_{kEnd};
};

}  // namespace

std::int32_t SyntheticExecutor::said_by(const SequenceSampler& sampler) {
  if (const auto mask = sampler.allowed(); !mask.empty()) return first_of(mask);
  const int generated = sampler.generated();
  const int least = sampler.sampling().tokens_min;
  const bool ends = least > 0 ? generated >= least : generated + 1 == kSyntheticAnswer;
  return ends ? kEnd : 1 + generated % (kSyntheticWords - 1);
}

Result<StepResult> SyntheticExecutor::run(std::span<const Slice> slices) {
  const TimePoint began = SteadyClock::now();
  double sequences = 0;
  double context = 0;
  double prefill = 0;
  sampled_.clear();
  logits_.clear();
  const bool tells = std::any_of(slices.begin(), slices.end(), [](const Slice& slice) {
    return slice.sampler->sampling().logprobs.has_value() || !slice.behind.empty();
  });
  for (const Slice& slice : slices) {
    const int generated = slice.sampler->generated();
    if (slice.tokens.size() == 1 && generated > 0) {
      sequences += 1;
      context += slice.first_position + 1;
    } else {
      prefill += static_cast<double>(slice.tokens.size());
    }
    for (int row = 0; row < slice.logits_rows; ++row) {
      sampled_.push_back(said_by(*slice.sampler));
      if (tells) append_logits(sampled_.back(), logits_);
    }
  }
  std::this_thread::sleep_until(began + from_seconds(pace_.seconds(sequences, context, prefill)));
  return StepResult{logits_, sampled_};
}

std::unique_ptr<TextCodec> make_synthetic_codec() { return std::make_unique<SyntheticCodec>(); }

}  // namespace spillway::local
