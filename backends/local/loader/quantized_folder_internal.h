// The quantized matrices of a folder, whose parts are spread over its files under names of their
// own.
//
// Start-up only. The files must outlive it.
#pragma once

#include "backends/local/loader/quantized_matrix_internal.h"

#include <deque>
#include <map>
#include <string>
#include <vector>

namespace spillway::loader {

class QuantizedFolder {
 public:
  explicit QuantizedFolder(const Quantization& how) : how_(how) {}

  // Whether the tensor is a part of a quantized matrix, or says nothing; it is kept then.
  bool take(const Tensor& tensor);

  // The matrices as "….weight", all of one type. `with_bytes`: turns them into it, which takes time
  // and memory, into `made`; else they have no bytes.
  Result<std::vector<Tensor>> matrices(bool with_bytes, std::deque<std::vector<std::byte>>& made);

  // After matrices: precision int4 keeps them as they are.
  bool keeps_int4() const { return keeps_int4_; }

 private:
  const Quantization how_;
  std::map<std::string, MatrixParts> parts_;  // By what their names begin with.
  bool keeps_int4_ = false;
};

}  // namespace spillway::loader
