#include "backends/local/loader/latent_split_internal.h"

#include <cstring>
#include <utility>
#include <vector>

namespace spillway::loader {
namespace {

constexpr std::string_view kBoth = "attn_kv_b.weight";

struct Heads {
  std::int64_t count = 0;
  std::int64_t key = 0;    // Rows of a head's key…
  std::int64_t value = 0;  // …and then of its value.
};

Heads heads_of(const Metadata& metadata, const std::string& prefix) {
  const auto integer = [&](const std::string& key) {
    return metadata.integer(prefix + key, 0).value();
  };
  return {integer("attention.head_count"),
          integer("attention.key_length_mla") - integer("rope.dimension_count"),
          integer("attention.value_length_mla")};
}

std::string renamed(const Tensor& both, std::string_view name) {
  return both.name.substr(0, both.name.size() - kBoth.size()) + std::string(name);
}

// The key rows of each head, turned over.
std::vector<std::byte> turned_keys(const Tensor& both, const Heads& heads) {
  const auto width = static_cast<std::size_t>(layout_of(both.type).bytes);
  const auto latent = static_cast<std::size_t>(both.columns());
  const auto key = static_cast<std::size_t>(heads.key);
  std::vector<std::byte> out(static_cast<std::size_t>(heads.count) * latent * key * width);
  std::byte* to = out.data();
  for (std::int64_t head = 0; head < heads.count; ++head) {
    const std::byte* from = both.row(head * (heads.key + heads.value)).data();
    for (std::size_t row = 0; row < latent; ++row) {
      for (std::size_t column = 0; column < key; ++column, to += width)
        std::memcpy(to, from + (column * latent + row) * width, width);
    }
  }
  return out;
}

}  // namespace

Result<void> split_latent_tensors(const std::string& prefix, ModelContents& contents) {
  const Heads heads = heads_of(contents.metadata, prefix);
  std::vector<Tensor> values;
  for (Tensor& tensor : contents.tensors) {
    if (!tensor.name.ends_with(kBoth)) continue;
    const bool fits = tensor.shape.size() == 2 && heads.count > 0 && heads.key > 0 &&
                      heads.value > 0 && tensor.rows() % heads.count == 0 &&
                      tensor.rows() / heads.count == heads.key + heads.value;
    if (!fits) {
      return Error{Errc::internal, "tensor " + tensor.name + " has " +
                                       std::to_string(tensor.rows()) +
                                       " rows, which are not the heads' keys and values"};
    }
    if (layout_of(tensor.type).elements != 1) {
      return Error{Errc::internal, "tensor " + tensor.name +
                                       " has four bits, in which its keys cannot be turned over"};
    }
    Tensor value{renamed(tensor, "attn_v_b.weight"),
                 tensor.type,
                 {heads.count, heads.value, tensor.columns()},
                 {}};
    const bool has_bytes = !tensor.pieces.empty();
    for (std::int64_t head = 0; has_bytes && head < heads.count; ++head) {
      value.pieces.push_back(tensor.run(head * (heads.key + heads.value) + heads.key, heads.value));
    }
    values.push_back(std::move(value));
    Tensor keys{renamed(tensor, "attn_k_b.weight"),
                tensor.type,
                {heads.count, tensor.columns(), heads.key},
                {}};
    if (has_bytes) keys.pieces = {contents.made.emplace_back(turned_keys(tensor, heads))};
    tensor = std::move(keys);
  }
  for (Tensor& value : values) contents.tensors.push_back(std::move(value));
  return {};
}

}  // namespace spillway::loader
