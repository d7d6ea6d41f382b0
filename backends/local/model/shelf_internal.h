// Finds the tensors of a decoder in a model file, of the shapes that it asks for, and remembers the
// first problem.
//
// Start-up only. What it returns after a problem is empty: callers look at problem() before they
// use it.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/ops/ops.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace spillway::local {

class Shelf {
 public:
  explicit Shelf(const loader::ModelFile& file) : file_(file) {}

  ops::MatrixSource matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                           std::vector<std::int64_t> row_order = {});

  // Matrix `index` of a stack of `count`.
  ops::MatrixSource of_stack(const std::string& name, std::int64_t index, std::int64_t count,
                             std::int64_t rows, std::int64_t columns);

  ops::Norm norm(const std::string& name, std::int64_t width, double epsilon);

  // Values in fp32, [rows, columns].
  at::Tensor values(const std::string& name, std::int64_t rows, std::int64_t columns);

  const std::optional<Error>& problem() const { return problem_; }

 private:
  const loader::Tensor* find(const std::string& name, std::int64_t rows, std::int64_t columns);
  void keep(Error error);

  const loader::ModelFile& file_;
  std::optional<Error> problem_;
};

}  // namespace spillway::local
