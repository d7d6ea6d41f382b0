#include "backends/local/tokenizer/gguf_vocabulary.h"

#include <string>

namespace spillway::tokenizer {
namespace {

// Values of "tokenizer.ggml.token_type".
constexpr std::int64_t kControlToken = 3;
constexpr std::int64_t kUserDefinedToken = 4;

Error unsupported(const std::string& key, std::string_view value) {
  return Error{Errc::internal, key + " is \"" + std::string(value) + "\", which is not supported"};
}

Result<void> read_split(const loader::Metadata& metadata, Vocabulary& vocabulary) {
  const std::string key = "tokenizer.ggml.pre";
  const auto name = metadata.text(key);
  if (!name) return name.error();
  auto rules = split_rules_of(*name);
  if (!rules) return unsupported(key, *name);
  vocabulary.split = std::move(*rules);
  vocabulary.ignore_merges = *name == "llama-bpe";
  vocabulary.composes = *name == "qwen2" || *name == "deepseek-r1-qwen";
  return {};
}

Result<void> read_merges(const loader::Metadata& metadata, Vocabulary& vocabulary) {
  const auto merges = metadata.texts("tokenizer.ggml.merges");
  if (!merges) return merges.error();
  vocabulary.merges.reserve(merges->size());
  for (const std::string_view merge : *merges) {
    const std::size_t space = merge.find(' ');  // The alphabet itself has no space.
    if (space == std::string_view::npos) {
      return Error{Errc::internal,
                   "tokenizer.ggml.merges has \"" + std::string(merge) + "\", not two tokens"};
    }
    vocabulary.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return {};
}

Result<void> read_token_types(const loader::Metadata& metadata, Vocabulary& vocabulary) {
  const auto types = metadata.integers("tokenizer.ggml.token_type");
  if (!types) return types.error();
  if (types->size() != vocabulary.tokens.size()) {
    return Error{Errc::internal, "tokenizer.ggml.token_type has " + std::to_string(types->size()) +
                                     " entries for " + std::to_string(vocabulary.tokens.size()) +
                                     " tokens"};
  }
  for (std::size_t id = 0; id < types->size(); ++id) {
    if ((*types)[id] == kControlToken) vocabulary.special.push_back(static_cast<TokenId>(id));
    if ((*types)[id] == kUserDefinedToken) vocabulary.added.push_back(static_cast<TokenId>(id));
  }
  return {};
}

}  // namespace

Result<Tokenizer> tokenizer_from(const loader::Metadata& metadata) {
  const std::string key = "tokenizer.ggml.model";
  const auto model = metadata.text(key);
  if (!model) return model.error();
  if (*model != "gpt2") return unsupported(key, *model);

  Vocabulary vocabulary;
  auto tokens = metadata.texts("tokenizer.ggml.tokens");
  if (!tokens) return tokens.error();
  vocabulary.tokens = std::move(*tokens);
  for (const auto& read : {read_split, read_merges, read_token_types}) {
    const auto done = read(metadata, vocabulary);
    if (!done) return done.error();
  }
  return Tokenizer::make(vocabulary);
}

}  // namespace spillway::tokenizer
