#include "backends/local/arch/gemma_spec.h"

#include <cmath>

namespace spillway::local {
namespace {

constexpr int kLayersOfGemma2With27B = 46;
constexpr int kLayersOfGemma3With27B = 62;

}  // namespace

double usual_score_width(const ArchSpec& spec) {
  const bool largest = (spec.name == "gemma2" && spec.layers == kLayersOfGemma2With27B) ||
                       (spec.name == "gemma3" && spec.layers == kLayersOfGemma3With27B);
  return largest ? spec.width / spec.query_heads : spec.head_width;
}

Result<Gemma> read_gemma(const loader::ModelFile& file, ArchKeys& keys, const ArchSpec& spec) {
  const bool caps = spec.name == "gemma2";
  Gemma gemma;
  gemma.used = true;
  gemma.norms_less_one = file.norms_less_one();
  gemma.embedding_gain = std::sqrt(static_cast<double>(spec.width));
  gemma.score_cap = keys.number("attn_logit_softcapping", caps ? 50.0 : 0.0);
  gemma.logit_cap = keys.number("final_logit_softcapping", caps ? 30.0 : 0.0);
  if (keys.problem()) return *keys.problem();
  return gemma;
}

}  // namespace spillway::local
