#include "backends/local/text_model_codec.h"

#include "backends/local/text.h"

#include <string_view>
#include <utility>

namespace spillway::local {

namespace {

class DetokenizerStream final : public TextStream {
 public:
  explicit DetokenizerStream(Detokenizer detokenizer) : detokenizer_(std::move(detokenizer)) {}

  std::string push(std::int32_t id) override { return detokenizer_.push(id); }
  std::string finish() override { return detokenizer_.finish(); }

 private:
  Detokenizer detokenizer_;
};

class TextModelCodec final : public TextCodec {
 public:
  TextModelCodec(TextModel model, SamplingOf sampling)
      : model_(std::move(model)), sampling_(sampling) {}

  Result<std::vector<std::int32_t>> encode(const std::vector<Message>& messages, const Tools* tools,
                                           std::string_view begun, int tokens_max) const override {
    return model_.encode_chat(messages, tools, begun, tokens_max);
  }
  SamplingDefaults sampling() const override {
    return sampling_ == SamplingOf::model ? model_.sampling() : SamplingDefaults{};
  }
  answer::AnswerStyle style() const override { return model_.style(); }
  Result<std::vector<std::int32_t>> encode_text(std::string_view text,
                                                int tokens_max) const override {
    return model_.encode(text, tokens_max);
  }
  int vocabulary_size() const override { return model_.vocabulary_size(); }
  grammar::Vocabulary vocabulary() const override {
    grammar::Vocabulary vocabulary;
    vocabulary.end_ids = end_ids();
    for (std::int32_t id = 0; id < vocabulary_size(); ++id)
      vocabulary.bytes.emplace_back(model_.bytes_of(id));
    return vocabulary;
  }
  std::unique_ptr<TextStream> open_stream(bool shows_special) const override {
    const auto special = shows_special ? SpecialTokens::show : SpecialTokens::skip;
    return std::make_unique<DetokenizerStream>(model_.make_detokenizer(special));
  }
  std::string spelling(std::int32_t id) const override { return std::string(model_.spelling(id)); }
  const std::vector<std::int32_t>& end_ids() const override { return model_.stop_tokens(); }

 private:
  const TextModel model_;
  const SamplingOf sampling_;
};

}  // namespace

Result<std::unique_ptr<TextCodec>> make_text_model_codec(const loader::ModelFile& file,
                                                         SamplingOf sampling) {
  auto model = TextModel::from_file(file);
  if (!model) return model.error();
  return std::make_unique<TextModelCodec>(std::move(*model), sampling);
}

}  // namespace spillway::local
