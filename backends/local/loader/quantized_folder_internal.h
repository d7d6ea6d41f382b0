// The quantized matrices of a folder, whose parts are spread over its files under names of their
// own.
//
// Start-up only. The files must outlive it.
#pragma once

#include "backends/local/loader/model_file.h"
#include "backends/local/loader/quantized_matrix_internal.h"

#include <deque>
#include <map>
#include <optional>
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

  // After matrices: they are all of four bits, in the groups of the file or parts of those.
  const std::optional<FourBitGroups>& four_bits() const { return four_bits_; }

 private:
  const Quantization how_;
  std::map<std::string, MatrixParts> parts_;  // By what their names begin with.
  std::optional<FourBitGroups> four_bits_;
};

}  // namespace spillway::loader
