#include "backends/local/loader/model_file.h"

#include "backends/local/loader/gguf.h"
#include "backends/local/loader/hugging_face.h"

#include <filesystem>
#include <system_error>
#include <utility>

namespace spillway::loader {

Result<ModelFile> ModelFile::open(const std::string& path, Bytes bytes) {
  std::error_code unreadable;
  const bool is_folder = std::filesystem::is_directory(path, unreadable);
  auto contents = is_folder ? read_folder(path, bytes) : read_gguf(path);
  if (!contents) return contents.error();
  auto file = make(std::move(*contents));
  if (!file) return Error{Errc::internal, path + ": " + file.error().message};
  return file;
}

Result<ModelFile> ModelFile::make(ModelContents contents) {
  ModelFile file(std::move(contents));
  const auto& tensors = file.tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (file.by_name_.emplace(tensors[i].name, i).second) continue;
    return Error{Errc::internal, "tensor \"" + tensors[i].name + "\" appears twice"};
  }
  return file;
}

const Tensor* ModelFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors()[found->second];
}

Result<const Tensor*> ModelFile::require(std::string_view name) const {
  const Tensor* tensor = find(name);
  if (!tensor)
    return Error{Errc::internal, "the model file has no tensor \"" + std::string(name) + "\""};
  return tensor;
}

}  // namespace spillway::loader
