#include "backends/local/model/layer_internal.h"

#include <ATen/ATen.h>

namespace spillway::local {

at::Tensor Workspace::rows(Use use, std::int64_t rows, std::int64_t width, at::ScalarType type) {
  auto& kept = kept_[static_cast<std::size_t>(use)];
  const bool fits = kept.defined() && kept.scalar_type() == type && kept.numel() >= rows * width;
  if (!fits) kept = at::empty({rows * width}, type);
  return kept.narrow(0, 0, rows * width).view({rows, width});
}

at::Tensor normed(const at::Tensor& rows, const ops::Norm& norm) {
  const auto x = rows.to(at::kFloat);
  const auto mean = x.pow(2).mean(-1, /*keepdim=*/true);
  return x * at::rsqrt(mean + norm.epsilon) * norm.weight;
}

void add_product(ops::Ops& ops, const at::Tensor& x, const ops::Matrix& matrix,
                 const ops::Norm& post_norm, at::Tensor& residual, Workspace& room) {
  if (!post_norm.weight.defined()) return ops.linear_add(x, matrix, residual);
  auto added = room.rows(Workspace::Use::added, x.size(0), matrix.rows(), at::kFloat);
  ops.linear(x, matrix, added);
  residual.add_(normed(added, post_norm));
}

}  // namespace spillway::local
