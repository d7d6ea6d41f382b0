#include "backends/local/arch/gemma_spec.h"

#include <cmath>

namespace spillway::local {

Result<Gemma> read_gemma(const loader::ModelFile& file, ArchKeys& keys, const ArchSpec& spec) {
  Gemma gemma;
  gemma.used = true;
  gemma.norms_less_one = file.norms_less_one();
  gemma.embedding_gain = std::sqrt(static_cast<double>(spec.width));
  gemma.score_cap = keys.number("attn_logit_softcapping", 0.0);
  gemma.logit_cap = keys.number("final_logit_softcapping", 0.0);
  if (keys.problem()) return *keys.problem();
  // GGUF files leave it to the program which layers have windows.
  if (file.folder().empty())
    return unsupported("of Gemma, Hugging Face folders are read, and not GGUF files");
  return gemma;
}

}  // namespace spillway::local
