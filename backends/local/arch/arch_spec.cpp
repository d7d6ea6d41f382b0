#include "backends/local/arch/arch_spec.h"

#include "backends/local/arch/arch_keys.h"
#include "backends/local/arch/deepseek_spec.h"
#include "backends/local/arch/experts_spec.h"
#include "backends/local/arch/gemma_spec.h"
#include "backends/local/arch/rope_frequencies.h"
#include "backends/local/arch/windows_spec.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::local {

namespace {

constexpr int kLayersMax = 4'096;
constexpr std::int64_t kHeadsWidthMax = 1 << 20;

// What heads with keys and values of their own look like.
Result<void> read_heads(const loader::ModelFile& file, ArchKeys& keys, double base,
                        ArchSpec& spec) {
  spec.head_width = keys.size("attention.key_length", spec.width / spec.query_heads);
  const int rotated = keys.size("rope.dimension_count", spec.head_width);
  if (keys.problem()) return *keys.problem();
  if (spec.head_width < 1) return unsupported("there are more heads than the model is wide");
  if (rotated != spec.head_width) return unsupported("partial rope is not supported");
  auto rope = read_rope(file, spec.head_width, spec.name + ".", base, /*yarn_gains=*/true);
  if (!rope) return rope.error();
  spec.inverse_frequencies = std::move(rope->inverse_frequencies);
  spec.rope_gain = rope->gain;
  spec.score_width = keys.number("attention.score_width", usual_score_width(spec));
  if (keys.problem()) return *keys.problem();
  if (!(spec.score_width > 0.0)) return unsupported("attention.score_width is not above 0");
  return {};
}

// What only some architectures have.
Result<void> read_own(const loader::ModelFile& file, ArchKeys& keys, ArchSpec& spec) {
  auto windows = read_windows(file, keys, spec);
  if (!windows) return windows.error();
  spec.windows = std::move(*windows);
  if (spec.name == "qwen3moe") {
    const auto experts = read_experts(file, keys, /*normalised=*/true);
    if (!experts) return experts.error();
    spec.experts = *experts;
  }
  if (spec.name == "gemma2" || spec.name == "gemma3") {
    const auto gemma = read_gemma(file, keys, spec);
    if (!gemma) return gemma.error();
    spec.gemma = *gemma;
  }
  return {};
}

constexpr std::string_view kKnown[] = {"llama",  "qwen2",  "qwen3",    "qwen3moe",
                                       "gemma2", "gemma3", "deepseek2"};

}  // namespace

Result<ArchSpec> read_arch_spec(const loader::ModelFile& file) {
  const auto architecture = file.metadata().text("general.architecture");
  if (!architecture) return architecture.error();
  ArchSpec spec;
  spec.name = std::string(*architecture);
  if (std::ranges::count(kKnown, spec.name) == 0) {
    return unsupported("architecture " + spec.name +
                       " is not supported: llama, qwen2, qwen3, qwen3moe, gemma2, gemma3 and "
                       "deepseek2 are");
  }
  spec.interleaved_rope_rows = file.rope_rows() == loader::RopeRows::pairs;
  spec.qkv_bias = file.find("blk.0.attn_q.bias") != nullptr;
  spec.attention_out_bias = file.find("blk.0.attn_output.bias") != nullptr;
  spec.head_norms = file.find("blk.0.attn_q_norm.weight") != nullptr;

  ArchKeys keys(file.metadata(), spec.name + ".");
  spec.layers = keys.size("block_count");
  spec.width = keys.size("embedding_length");
  spec.feed_forward_width = keys.size("feed_forward_length");
  spec.query_heads = keys.size("attention.head_count");
  spec.kv_heads = keys.size("attention.head_count_kv", spec.query_heads);
  spec.context_max = keys.size("context_length");
  spec.norm_epsilon = keys.number("attention.layer_norm_rms_epsilon");
  const double base = keys.number("rope.freq_base", 10'000.0);
  if (keys.problem()) return *keys.problem();
  if (spec.query_heads % spec.kv_heads != 0) return unsupported("head counts do not divide");
  if (spec.layers > kLayersMax) {
    return unsupported("block_count is " + std::to_string(spec.layers) + ": at most " +
                       std::to_string(kLayersMax) + " layers are read");
  }
  const auto read = spec.name == "deepseek2" ? read_deepseek(file, keys, base, spec)
                                             : read_heads(file, keys, base, spec);
  if (!read) return read.error();
  if (const auto own = read_own(file, keys, spec); !own) return own.error();
  if (std::int64_t{spec.query_heads} * spec.head_width > kHeadsWidthMax)
    return unsupported("the heads are too wide together");

  const auto embedding = file.require("token_embd.weight");
  if (!embedding) return embedding.error();
  spec.vocabulary = static_cast<int>((*embedding)->rows());
  spec.head_is_embedding = file.find("output.weight") == nullptr;
  return spec;
}

std::vector<std::int64_t> halves_from_pairs(int heads, int head_width) {
  std::vector<std::int64_t> order;
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t row = 0; row < head_width; ++row) {
      // Row i of the first half is the even partner of pair i, of the second half the odd one.
      const std::int64_t half = head_width / 2;
      order.push_back(head * head_width + (row % half) * 2 + row / half);
    }
  }
  return order;
}

}  // namespace spillway::local
