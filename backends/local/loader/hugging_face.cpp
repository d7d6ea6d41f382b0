#include "backends/local/loader/hugging_face.h"

#include "backends/local/loader/folder_config_internal.h"
#include "backends/local/loader/folder_names_internal.h"
#include "backends/local/loader/json_internal.h"
#include "backends/local/loader/latent_split_internal.h"
#include "backends/local/loader/quantized_folder_internal.h"
#include "backends/local/loader/safetensors.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

namespace spillway::loader {
namespace {

constexpr std::size_t kShardsMax = 4'096;
constexpr std::string_view kOneFile = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

Error failed(const std::string& path, const std::string& why) {
  return Error{Errc::internal, path + ": " + why};
}

// Which file has which tensor, by an index; nobody's file outside the folder.
Result<std::map<std::string, std::string>> shards_in(const std::string& folder) {
  const std::string path = folder + "/" + std::string(kIndex);
  const auto index = object_in(folder, std::string(kIndex));
  if (!index) return index.error();
  const Json& map = at_or_null(*index, "weight_map");
  if (!map.is_object()) return failed(path, "has no weight_map");
  std::map<std::string, std::string> file_of;
  for (const auto& [tensor, file] : map.items()) {
    if (!file.is_string()) return failed(path, "weight_map: " + tensor + " is in no file");
    const auto& name = file.get_ref<const std::string&>();
    if (name.empty() || name.find('/') != std::string::npos || name == "..")
      return failed(path, "weight_map: " + name + " is no file of this folder");
    file_of[tensor] = name;
  }
  return file_of;
}

class FolderReader {
 public:
  FolderReader(const std::string& folder, Bytes bytes) : folder_(folder), bytes_(bytes) {
    contents_.folder = folder;
  }

  Result<ModelContents> read() {
    for (const auto step :
         {&FolderReader::read_config, &FolderReader::read_files, &FolderReader::join_quantized,
          &FolderReader::stack_experts, &FolderReader::split_latents}) {
      const auto done = (this->*step)();
      if (!done) return done.error();
    }
    find_four_bits();
    return std::move(contents_);
  }

 private:
  Result<void> read_config() {
    const auto config = object_in(folder_, "config.json");
    if (!config) return config.error();
    if (config->empty()) {
      return failed(folder_,
                    "has no config.json: `model` is a GGUF file, or a folder as Hugging "
                    "Face publishes it");
    }
    const auto quantization = quantization_of(*config);
    if (!quantization) return failed(folder_ + "/config.json", quantization.error().message);
    quantized_.emplace(*quantization);
    auto metadata = metadata_of(*config);
    if (!metadata) return failed(folder_ + "/config.json", metadata.error().message);
    contents_.metadata = std::move(*metadata);
    architecture_ = contents_.metadata.text("general.architecture").value();
    layers_ = contents_.metadata.integer(architecture_ + ".block_count", 0).value();
    tied_ = at_or_null(text_config_of(*config), "tie_word_embeddings") == true;
    contents_.norms_less_one = is_gemma();
    return {};
  }

  bool is_gemma() const { return architecture_.starts_with("gemma"); }

  Result<void> read_files() {
    std::error_code unreadable;
    const std::string index = folder_ + "/" + std::string(kIndex);
    if (!std::filesystem::exists(index, unreadable)) {
      std::map<std::string, std::string> none;
      return read_file(std::string(kOneFile), none);
    }
    auto file_of = shards_in(folder_);
    if (!file_of) return file_of.error();
    std::set<std::string> files;
    for (const auto& [tensor, file] : *file_of) files.insert(file);
    if (files.size() > kShardsMax) return failed(index, "names more than 4096 files");
    for (const std::string& file : files) {
      const auto read = read_file(file, *file_of);
      if (!read) return read;
    }
    if (file_of->empty()) return {};
    const auto& [tensor, file] = *file_of->begin();
    return failed(index, "tensor " + tensor + " is not in " + file);
  }

  // Takes what it finds out of `expected`.
  Result<void> read_file(const std::string& name, std::map<std::string, std::string>& expected) {
    const std::string path = folder_ + "/" + name;
    auto mapped = MappedFile::open(path);
    if (!mapped) return mapped.error();
    contents_.files.push_back(std::move(*mapped));
    auto tensors = read_safetensors(contents_.files.back().bytes(), path);
    if (!tensors) return tensors.error();
    for (Tensor& tensor : *tensors) {
      const auto found = expected.find(tensor.name);
      if (found != expected.end() && found->second == name) expected.erase(found);
      if (quantized_->take(tensor)) continue;
      const auto taken = take(std::move(tensor), path);
      if (!taken) return taken;
    }
    return {};
  }

  Result<void> take(Tensor tensor, const std::string& path) {
    auto place = place_of(tensor.name, is_gemma());
    if (!place) {
      return failed(path, "tensor " + tensor.name +
                              " is none that is known here: a part of the model would be left out");
    }
    const bool is_extra = place->layer >= layers_;  // DeepSeek's guess at a second next token.
    const bool is_copy = tied_ && place->name == "output.weight";
    if (place->name.empty() || is_extra || is_copy) return {};
    tensor.name = std::move(place->name);
    if (place->expert < 0) {
      contents_.tensors.push_back(std::move(tensor));
      return {};
    }
    auto& stack = stacks_[tensor.name];
    if (stack.emplace(place->expert, std::move(tensor)).second) return {};
    return failed(path, "expert " + std::to_string(place->expert) + " of a layer appears twice");
  }

  Result<void> join_quantized() {
    auto matrices = quantized_->matrices(bytes_ == Bytes::all, contents_.made);
    if (!matrices) return failed(folder_, matrices.error().message);
    for (Tensor& matrix : *matrices) {
      if (const auto taken = take(std::move(matrix), folder_); !taken) return taken;
    }
    return {};
  }

  // Where no matrix of a layer is of another kind; a router of experts is.
  void find_four_bits() {
    const auto is_four_bits = [](const Tensor& tensor) {
      const bool is_matrix = tensor.name.starts_with("blk.") && tensor.shape.size() > 1;
      return !is_matrix || tensor.type == TensorType::q4_0 || tensor.type == TensorType::q4_1;
    };
    if (std::ranges::all_of(contents_.tensors, is_four_bits))
      contents_.four_bits = quantized_->four_bits();
  }

  // One tensor of all experts of a layer, as GGUF has it.
  Result<void> stack_experts() {
    for (auto& [name, experts] : stacks_) {
      Tensor stacked = experts.begin()->second;
      stacked.pieces.clear();
      std::int64_t next = 0;
      for (auto& [number, tensor] : experts) {
        const bool alike = tensor.shape == stacked.shape && tensor.type == stacked.type;
        if (number != next++ || !alike || tensor.shape.size() != 2) {
          return failed(folder_, name + ": expert " + std::to_string(number) +
                                     " follows a gap, or is shaped unlike the first");
        }
        stacked.pieces.insert(stacked.pieces.end(), tensor.pieces.begin(), tensor.pieces.end());
      }
      stacked.shape.insert(stacked.shape.begin(), next);
      contents_.tensors.push_back(std::move(stacked));
    }
    return {};
  }

  Result<void> split_latents() {
    const auto split = split_latent_tensors(architecture_ + ".", contents_);
    if (!split) return failed(folder_, split.error().message);
    return {};
  }

  const std::string folder_;
  const Bytes bytes_;
  std::optional<QuantizedFolder> quantized_;  // Once the config is read.
  std::string architecture_;
  std::int64_t layers_ = 0;
  bool tied_ = false;
  std::map<std::string, std::map<std::int64_t, Tensor>> stacks_;  // By name, by expert.
  ModelContents contents_;
};

}  // namespace

Result<ModelContents> read_folder(const std::string& path, Bytes bytes) {
  return FolderReader(path, bytes).read();
}

}  // namespace spillway::loader
