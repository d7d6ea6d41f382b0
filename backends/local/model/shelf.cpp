#include "backends/local/arch/model_tensor.h"
#include "backends/local/loader/dequantize.h"
#include "backends/local/model/shelf_internal.h"

#include <ATen/ATen.h>

#include <utility>

namespace spillway::local {

ops::MatrixSource Shelf::matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                                std::vector<std::int64_t> row_order) {
  return {find(name, rows, columns), std::move(row_order)};
}

ops::MatrixSource Shelf::of_stack(const std::string& name, std::int64_t index, std::int64_t count,
                                  std::int64_t rows, std::int64_t columns) {
  return {find(name, count * rows, columns), {}, index * rows, rows};
}

ops::Norm Shelf::norm(const std::string& name, std::int64_t width, double epsilon) {
  auto weight = values(name, 1, width);
  if (!weight.defined()) return {};
  weight = weight.view({width});
  if (file_.norms_less_one()) weight.add_(1.0);
  return {weight, epsilon};
}

at::Tensor Shelf::values(const std::string& name, std::int64_t rows, std::int64_t columns) {
  const loader::Tensor* tensor = find(name, rows, columns);
  if (tensor == nullptr) return {};
  auto out = at::empty({rows, columns}, at::kFloat);
  const auto count = static_cast<std::size_t>(out.numel());
  const auto done = loader::dequantize(*tensor, {out.data_ptr<float>(), count});
  if (!done) keep(done.error());
  return out;
}

const loader::Tensor* Shelf::find(const std::string& name, std::int64_t rows,
                                  std::int64_t columns) {
  const auto found = model_tensor(file_, name, rows, columns);
  if (found) return *found;
  keep(found.error());
  return nullptr;
}

void Shelf::keep(Error error) {
  if (!problem_) problem_ = std::move(error);
}

}  // namespace spillway::local
