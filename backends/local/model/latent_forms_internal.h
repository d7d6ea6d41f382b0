// Attention to DeepSeek's latent rows in its two forms, of which the cheaper is to be taken.
//
// Absorbed: queries are turned into the space of the latent rows, and what they find there into
// values. Expanded ("naive"): each latent row becomes the keys and values of every head, which is
// done once for all queries, and then scores and sums are narrower. Few queries do better with the
// former, a prompt's many with the latter. DeepSeek-V2, https://arxiv.org/abs/2405.04434, 2.1.2.
//
// fp32 throughout. Lines are latent rows with the rotated part of their key, [context, width +
// rope_width]; queries are those of the last positions of the context, scaled as scores are to be.
#pragma once

#include "backends/local/arch/arch_spec.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace spillway::local {

struct LatentForms {
  LatentAttention shape;
  at::Tensor key_up;    // [heads, width, key_width]
  at::Tensor value_up;  // [heads, value_width, width]

  // In three steps, as the first and the last are better done for all sequences together:
  // [rows, heads, key_width + rope_width] → [rows, heads, width + rope_width]
  at::Tensor absorbed(const at::Tensor& queries) const;
  // of those → [rows, heads, width]
  at::Tensor attend_absorbed(const at::Tensor& queries, const at::Tensor& lines) const;
  // of that → [rows, heads · value_width]
  at::Tensor values_of(const at::Tensor& latent) const;

  // [rows, heads, key_width + rope_width] → [rows, heads · value_width]
  at::Tensor attend_expanded(const at::Tensor& queries, const at::Tensor& lines) const;

  // By multiplications, for so many queries over so many lines.
  bool expanding_costs_less(std::int64_t rows, std::int64_t context) const;
};

}  // namespace spillway::local
