#include "backends/local/loader/encoder_folder.h"

#include "backends/local/loader/json_internal.h"
#include "backends/local/loader/safetensors.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace spillway::loader {
namespace {

constexpr std::int64_t kNumberMax = 1 << 24;
constexpr std::uint64_t kTokenizerBytesMax = 64U << 20;
constexpr std::int64_t kDecoderTokensMax = 8'192;  // What keys and values are kept for.
constexpr std::string_view kWeights = "model.safetensors";

// The kinds of model that are alike but for this.
struct Family {
  std::string_view type;             // In config.json.
  std::string_view prefix;           // Of tensors, in some files.
  bool counts_from_padding = false;  // Positions begin behind the number of the padding token.
};
constexpr std::array<Family, 4> kFamilies = {{{"bert", "bert.", false},
                                              {"roberta", "roberta.", true},
                                              {"xlm-roberta", "roberta.", true},
                                              {"camembert", "roberta.", true}}};

using NamedPooling = std::pair<std::string_view, Pooling>;
constexpr std::array<NamedPooling, 3> kPoolings = {
    {{"pooling_mode_cls_token", Pooling::first_token},
     {"pooling_mode_lasttoken", Pooling::last_token},
     {"pooling_mode_mean_tokens", Pooling::mean}}};

Error failed(const std::string& path, const std::string& why) {
  return Error{Errc::internal, path + ": " + why};
}

std::string text_at(const Json& object, std::string_view key) {
  const Json& value = at_or_null(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

class EncoderFolderReader {
 public:
  explicit EncoderFolderReader(const std::string& folder) : folder_(folder) {}

  Result<EncoderFolder> read() {
    for (const auto step : {&EncoderFolderReader::read_config, &EncoderFolderReader::read_modules,
                            &EncoderFolderReader::read_length, &EncoderFolderReader::read_tokenizer,
                            &EncoderFolderReader::read_weights}) {
      const auto done = (this->*step)();
      if (!done) return done.error();
    }
    return std::move(contents_);
  }

 private:
  Result<void> read_config() {
    const auto config = object_in(folder_, "config.json");
    if (!config) return config.error();
    if (config->empty()) return failed(folder_, "has no config.json");
    const std::string path = folder_ + "/config.json";
    const std::string type = text_at(*config, "model_type");
    spec_.shortens = at_or_null(*config, "is_matryoshka") == true;
    const auto family = std::ranges::find(kFamilies, type, &Family::type);
    if (family == kFamilies.end()) return read_decoder();
    family_ = *family;
    const std::string position = text_at(*config, "position_embedding_type");
    if (!position.empty() && position != "absolute")
      return failed(path, "position_embedding_type " + position + " is not supported");
    const auto numbers = read_numbers(*config, path);
    if (!numbers) return numbers;
    const auto first = read_first_position(*config, path);
    if (!first) return first;
    spec_.tokens_max = spec_.positions - spec_.first_position;
    return read_activation(*config, path);
  }

  Result<void> read_decoder() {
    auto file = ModelFile::open(folder_);
    if (!file)
      return Error{Errc::internal, file.error().message +
                                       "; of encoders bert, roberta, xlm-roberta and camembert are "
                                       "read besides"};
    const auto words = file->require("token_embd.weight");
    if (!words) return words.error();
    if ((*words)->shape.size() != 2) return failed(folder_, "its embeddings are no matrix");
    spec_.vocabulary = (*words)->shape[0];
    spec_.width = (*words)->shape[1];
    const auto architecture = file->metadata().text("general.architecture");
    if (!architecture) return architecture.error();
    const auto context = file->metadata().integer(std::string(*architecture) + ".context_length");
    if (!context) return context.error();
    if (*context < 1) return failed(folder_, "its context is no whole number from 1 on");
    spec_.tokens_max = std::min(*context, kDecoderTokensMax);
    contents_.decoder.emplace(std::move(*file));
    return {};
  }

  Result<void> read_numbers(const Json& config, const std::string& path) {
    const std::array<std::pair<const char*, std::int64_t*>, 7> keys = {
        {{"vocab_size", &spec_.vocabulary},
         {"hidden_size", &spec_.width},
         {"intermediate_size", &spec_.inner_width},
         {"num_hidden_layers", &spec_.layers},
         {"num_attention_heads", &spec_.heads},
         {"max_position_embeddings", &spec_.positions},
         {"type_vocab_size", &spec_.token_types}}};
    for (const auto& [key, number] : keys) {
      const Json& value = at_or_null(config, key);
      if (!value.is_number_integer() || value < 1 || value > kNumberMax)
        return failed(path, std::string(key) + " is no whole number from 1 on");
      *number = value.get<std::int64_t>();
    }
    if (spec_.width % spec_.heads != 0)
      return failed(path, "hidden_size is no multiple of num_attention_heads");
    const Json& epsilon = at_or_null(config, "layer_norm_eps");
    if (epsilon.is_number()) spec_.norm_epsilon = epsilon.get<double>();
    return {};
  }

  Result<void> read_first_position(const Json& config, const std::string& path) {
    if (!family_.counts_from_padding) return {};
    const Json& padding = at_or_null(config, "pad_token_id");
    const std::int64_t id = padding.is_null()             ? 1
                            : padding.is_number_integer() ? padding.get<std::int64_t>()
                                                          : -1;
    if (id < 0 || id >= spec_.positions - 1)
      return failed(path, "pad_token_id leaves none of max_position_embeddings");
    spec_.first_position = id + 1;
    return {};
  }

  Result<void> read_activation(const Json& config, const std::string& path) {
    const std::string name = text_at(config, "hidden_act");
    spec_.gelu_by_tanh = name == "gelu_new" || name == "gelu_pytorch_tanh";
    if (name.empty() || name == "gelu" || spec_.gelu_by_tanh) return {};
    return failed(path, "hidden_act " + name.substr(0, 64) + " is not supported: gelu is");
  }

  Result<void> read_modules() {
    spec_.pooling = Pooling::mean;
    const auto text = text_in(folder_, "modules.json", 1U << 20);
    if (!text) return text.error();
    if (!*text) return {};
    const std::string path = folder_ + "/modules.json";
    const auto modules = parse_json(**text, path);
    if (!modules) return modules.error();
    if (!modules->is_array()) return failed(path, "is not a list");
    for (const Json& module : *modules) {
      const std::string type = text_at(module, "type");
      const std::string_view name = std::string_view(type).substr(type.rfind('.') + 1);
      if (name == "Normalize") spec_.normalizes = true;
      if (name == "Pooling") {
        const auto pooling = read_pooling(text_at(module, "path"));
        if (!pooling) return pooling;
      } else if (name != "Transformer" && name != "Normalize") {
        return failed(path, "module " + type.substr(0, 64) + " is not supported");
      }
    }
    return {};
  }

  Result<void> read_pooling(const std::string& module) {
    if (module.find('/') != std::string::npos || module.starts_with('.'))
      return failed(folder_ + "/modules.json", module + " is no folder in this one");
    const auto pooling = object_in(folder_, module + "/config.json");
    if (!pooling) return pooling.error();
    std::vector<Pooling> chosen;
    for (const auto& [key, value] : pooling->items()) {
      if (!key.starts_with("pooling_mode_") || value != true) continue;
      const auto known = std::ranges::find(kPoolings, key, &NamedPooling::first);
      if (known == kPoolings.end()) chosen.clear();
      if (known == kPoolings.end()) break;
      chosen.push_back(known->second);
    }
    if (chosen.size() != 1)
      return failed(folder_ + "/" + module + "/config.json",
                    "pooling is neither by the mean of the tokens nor by the first or last one");
    spec_.pooling = chosen.front();
    return {};
  }

  Result<void> read_length() {
    const auto said = object_in(folder_, "sentence_bert_config.json");
    if (!said) return said.error();
    const Json& most = at_or_null(*said, "max_seq_length");
    if (most.is_number_integer() && most > 2 && most < spec_.tokens_max)
      spec_.tokens_max = most.get<std::int64_t>();
    return {};
  }

  Result<void> read_tokenizer() {
    auto text = text_in(folder_, "tokenizer.json", kTokenizerBytesMax);
    if (!text) return text.error();
    if (!*text) return failed(folder_, "has no tokenizer.json");
    contents_.tokenizer = std::move(**text);
    return {};
  }

  Result<void> read_weights() {
    if (contents_.decoder) return {};
    const std::string path = folder_ + "/" + std::string(kWeights);
    auto mapped = MappedFile::open(path);
    if (!mapped) return mapped.error();
    auto tensors = read_safetensors(mapped->bytes(), path);
    if (!tensors) return tensors.error();
    contents_.files.push_back(std::move(*mapped));
    for (Tensor& tensor : *tensors) {
      std::string name = tensor.name;
      if (name.starts_with(family_.prefix)) name.erase(0, family_.prefix.size());
      contents_.tensors.emplace(std::move(name), std::move(tensor));
    }
    return {};
  }

  const std::string folder_;
  Family family_;
  EncoderFolder contents_;
  EncoderSpec& spec_ = contents_.spec;
};

}  // namespace

Result<EncoderFolder> read_encoder_folder(const std::string& path) {
  return EncoderFolderReader(path).read();
}

}  // namespace spillway::loader
