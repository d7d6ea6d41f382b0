#include "backends/local/arch/model_tensor.h"

#include "backends/local/loader/dequantize.h"

namespace spillway::local {

namespace {

std::string size_of(std::int64_t rows, std::int64_t columns) {
  return std::to_string(rows) + " x " + std::to_string(columns);
}

Error wrong(const std::string& name, const std::string& what) {
  return {Errc::invalid_request, "model file: tensor " + name + what, "", std::nullopt};
}

}  // namespace

Result<const loader::Tensor*> model_tensor(const loader::ModelFile& file, const std::string& name,
                                           std::int64_t rows, std::int64_t columns) {
  const auto found = file.require(name);
  if (!found) return found.error();
  const loader::Tensor& tensor = **found;
  if (tensor.rows() != rows || tensor.columns() != columns) {
    return wrong(name, " is " + size_of(tensor.rows(), tensor.columns()) + ", expected " +
                           size_of(rows, columns));
  }
  if (!loader::can_dequantize(tensor.type)) {
    return wrong(name, " has type " + std::string(loader::layout_of(tensor.type).name) +
                           ", which is not supported: convert the file to Q8_0 or BF16");
  }
  return &tensor;
}

}  // namespace spillway::local
