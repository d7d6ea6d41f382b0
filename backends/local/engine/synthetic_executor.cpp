#include "backends/local/engine/synthetic_executor.h"

#include "backends/contract/deadline.h"
#include "backends/local/sample/sampler.h"

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

class SyntheticStream final : public TextStream {
 public:
  std::string push(std::int32_t id) override {
    return id == kEnd ? "" : std::string(kWords[static_cast<std::size_t>(id) % kWords.size()]);
  }
  std::string finish() override { return {}; }
};

class SyntheticCodec final : public TextCodec {
 public:
  Result<std::vector<std::int32_t>> encode(const std::vector<Message>& messages,
                                           std::string_view begun) const override {
    std::vector<std::int32_t> ids;
    for (const Message& message : messages) {
      ids.insert(ids.end(), kTokensPerMessage, 1);
      append(message.content, ids);
    }
    ids.push_back(1);
    append(begun, ids);
    return ids;
  }

  std::vector<std::int32_t> encode_text(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    append(text, ids);
    return ids;
  }

  int vocabulary_size() const override { return kSyntheticVocabulary; }

  std::unique_ptr<TextStream> open_stream() const override {
    return std::make_unique<SyntheticStream>();
  }

  const std::vector<std::int32_t>& end_ids() const override { return end_ids_; }

 private:
  static void append(std::string_view text, std::vector<std::int32_t>& ids) {
    for (std::size_t at = 0; at < text.size(); at += kBytesPerToken)
      ids.push_back(static_cast<unsigned char>(text[at]));
  }

  const std::vector<std::int32_t> end_ids_{kEnd};
};

}  // namespace

Result<StepResult> SyntheticExecutor::run(std::span<const Slice> slices) {
  const TimePoint began = SteadyClock::now();
  double sequences = 0;
  double context = 0;
  double prefill = 0;
  sampled_.clear();
  for (const Slice& slice : slices) {
    const int generated = slice.sampler->generated();
    if (slice.tokens.size() == 1 && generated > 0) {
      sequences += 1;
      context += slice.first_position + 1;
    } else {
      prefill += static_cast<double>(slice.tokens.size());
    }
    if (slice.logits_rows == 0) continue;
    const bool may_end = generated >= slice.sampler->sampling().tokens_min;
    const bool ends = generated + 1 == kSyntheticAnswer && may_end;
    sampled_.push_back(ends ? kEnd : 1 + generated % (kSyntheticVocabulary - 1));
  }
  std::this_thread::sleep_until(began + from_seconds(pace_.seconds(sequences, context, prefill)));
  return StepResult{{}, sampled_};
}

std::unique_ptr<TextCodec> make_synthetic_codec() { return std::make_unique<SyntheticCodec>(); }

}  // namespace spillway::local
