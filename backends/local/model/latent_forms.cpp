#include "backends/local/model/latent_forms_internal.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace spillway::local {

namespace {

// Rows times heads whose scores exist at a time. It bounds memory where contexts are long, and the
// fewer they are, the fewer lines are scored that none of them sees.
constexpr std::int64_t kQueriesMax = 128;

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Heads share keys [context, n] and values [context, m]: queries [rows, heads, n], of the last
// positions, → [rows, heads, m].
void attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
            const at::Tensor& into) {
  const std::int64_t rows = queries.size(0);
  const std::int64_t heads = queries.size(1);
  const std::int64_t rows_max = std::max<std::int64_t>(1, kQueriesMax / heads);
  for (std::int64_t first = 0; first < rows; first += rows_max) {
    const std::int64_t count = std::min(rows_max, rows - first);
    const std::int64_t seen = keys.size(0) - rows + first + count;  // By the last of them.
    const auto flat = queries.narrow(0, first, count).reshape({count * heads, -1});
    auto scores = at::mm(flat, keys.narrow(0, 0, seen).t());
    const auto later = at::ones({count, count}, at::kBool).triu(1).unsqueeze(1);
    scores.view({count, heads, seen}).narrow(2, seen - count, count).masked_fill_(later, kNever);
    const auto found = at::mm(at::softmax(scores, -1), values.narrow(0, 0, seen));
    into.narrow(0, first, count).copy_(found.view({count, heads, -1}));
  }
}

}  // namespace

at::Tensor LatentForms::absorbed(const at::Tensor& queries) const {
  const auto plain = queries.narrow(2, 0, shape.key_width);
  const auto turned = queries.narrow(2, shape.key_width, shape.rope_width);
  const auto latent = at::bmm(plain.transpose(0, 1), key_up.transpose(1, 2)).transpose(0, 1);
  return at::cat({latent, turned}, 2);
}

at::Tensor LatentForms::attend_absorbed(const at::Tensor& queries, const at::Tensor& lines) const {
  const auto found = at::empty({queries.size(0), queries.size(1), shape.width});
  attend(queries, lines, lines.narrow(1, 0, shape.width), found);
  return found;
}

at::Tensor LatentForms::values_of(const at::Tensor& latent) const {
  const auto values = at::bmm(latent.transpose(0, 1), value_up.transpose(1, 2));
  return values.transpose(0, 1).flatten(1);
}

at::Tensor LatentForms::attend_expanded(const at::Tensor& queries, const at::Tensor& lines) const {
  const std::int64_t heads = queries.size(1);
  const auto latent = lines.narrow(1, 0, shape.width);
  const auto keys = at::empty({lines.size(0), shape.key_width + shape.rope_width});
  keys.narrow(1, shape.key_width, shape.rope_width)
      .copy_(lines.narrow(1, shape.width, shape.rope_width));  // Which heads share.
  auto plain_keys = keys.narrow(1, 0, shape.key_width);
  const auto found = at::empty({queries.size(0), heads, shape.value_width});
  for (std::int64_t head = 0; head < heads; ++head) {
    at::mm_out(plain_keys, latent, key_up.select(0, head));
    const auto values = at::mm(latent, value_up.select(0, head).t());
    attend(queries.narrow(1, head, 1), keys, values, found.narrow(1, head, 1));
  }
  return found.flatten(1);
}

bool LatentForms::expanding_costs_less(std::int64_t rows, std::int64_t context) const {
  const std::int64_t of_head = shape.key_width + shape.value_width;
  const std::int64_t turning = shape.width * of_head;  // Of a query, or of a line.
  const std::int64_t seen = rows * context - rows * (rows - 1) / 2;
  const std::int64_t absorbed = rows * turning + seen * (2 * shape.width + shape.rope_width);
  const std::int64_t expanded = context * turning + seen * (of_head + shape.rope_width);
  return expanded < absorbed;
}

}  // namespace spillway::local
