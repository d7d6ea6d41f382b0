#include "backends/local/loader/folder_text.h"

#include "backends/local/loader/folder_config_internal.h"
#include "backends/local/loader/json_internal.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace spillway::loader {
namespace {

constexpr std::uint64_t kTokenizerBytesMax = 64U << 20;
constexpr std::uint64_t kTemplateBytesMax = 1U << 20;

// A token is named by a text, or by an object that has it.
std::string token_named(const Json& config, std::string_view key) {
  const Json& given = at_or_null(config, key);
  const Json& text = given.is_object() ? at_or_null(given, "content") : given;
  return text.is_string() ? text.get<std::string>() : std::string();
}

// Of several templates, the one of this name.
std::string template_named(std::string_view name, const Json& config) {
  const Json& given = at_or_null(config, "chat_template");
  if (given.is_string()) return name == "default" ? given.get<std::string>() : std::string();
  if (!given.is_array()) return {};
  for (const Json& one : given) {
    const Json& source = at_or_null(one, "template");
    if (at_or_null(one, "name") == name && source.is_string()) return source.get<std::string>();
  }
  return {};
}

std::vector<std::int64_t> stop_tokens_of(const Json& config) {
  std::vector<std::int64_t> ids;
  const Json& given = at_or_null(config, "eos_token_id");
  if (given.is_number_integer()) ids.push_back(given.get<std::int64_t>());
  if (!given.is_array()) return ids;
  for (const Json& id : given) {
    if (id.is_number_integer()) ids.push_back(id.get<std::int64_t>());
  }
  return ids;
}

// Its members as Sampling has them; what is null is not said.
class Generation {
 public:
  Generation(const Json& config, const std::string& folder) : config_(config), folder_(folder) {}

  std::optional<double> number(std::string_view key, double min, double max) {
    const Json& given = at_or_null(config_, key);
    if (given.is_null()) return std::nullopt;
    const bool fits = given.is_number() && given.get<double>() >= min && given.get<double>() <= max;
    if (fits) return given.get<double>();
    error_ = Error{Errc::internal, folder_ + ": generation_config.json has a " + std::string(key) +
                                       " of " + given.dump().substr(0, 40)};
    return std::nullopt;
  }

  const std::optional<Error>& error() const { return error_; }

 private:
  const Json& config_;
  const std::string& folder_;
  std::optional<Error> error_;
};

Result<SamplingDefaults> sampling_of(const Json& config, const std::string& folder) {
  constexpr double kTopKMax = 1 << 30;
  constexpr double kLeast = 1e-9;  // Where 0 itself has no meaning.
  Generation generation(config, folder);
  SamplingDefaults sampling;
  sampling.temperature = generation.number("temperature", 0, 100);
  sampling.top_p = generation.number("top_p", kLeast, 1);
  if (const auto top_k = generation.number("top_k", -1, kTopKMax))
    sampling.top_k = std::max(0, static_cast<int>(*top_k));
  sampling.min_p = generation.number("min_p", 0, 1);
  sampling.repetition_penalty = generation.number("repetition_penalty", kLeast, 100);
  if (generation.error()) return *generation.error();
  return sampling;
}

}  // namespace

Result<FolderText> read_folder_text(const std::string& folder) {
  FolderText text;
  auto tokenizer = text_in(folder, "tokenizer.json", kTokenizerBytesMax);
  if (!tokenizer) return tokenizer.error();
  if (!*tokenizer) {
    return Error{Errc::internal, folder +
                                     ": has no tokenizer.json: save it again with a fast "
                                     "tokenizer of the transformers library"};
  }
  text.tokenizer = std::move(**tokenizer);

  const auto config = object_in(folder, "tokenizer_config.json");
  if (!config) return config.error();
  text.begin = token_named(*config, "bos_token");
  text.end = token_named(*config, "eos_token");
  text.adds_begin = at_or_null(*config, "add_bos_token") == true;

  auto own_file = text_in(folder, "chat_template.jinja", kTemplateBytesMax);
  if (!own_file) return own_file.error();
  text.chat_template = *own_file ? std::move(**own_file) : template_named("default", *config);
  if (!*own_file) text.tool_template = template_named("tool_use", *config);

  const auto generation = object_in(folder, "generation_config.json");
  if (!generation) return generation.error();
  auto sampling = sampling_of(*generation, folder);
  if (!sampling) return sampling.error();
  text.sampling = *sampling;
  text.stop_tokens = stop_tokens_of(*generation);
  if (!text.stop_tokens.empty()) return text;
  const auto model = object_in(folder, "config.json");
  if (!model) return model.error();
  text.stop_tokens = stop_tokens_of(text_config_of(*model));
  return text;
}

}  // namespace spillway::loader
