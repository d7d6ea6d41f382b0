// Runs a model that hf_logits.py wrote and dumps its logits: a prompt in two chunks, then single
// tokens.
//
// usage: gpu_dump_logits DIR; reads DIR/model.txt (words and numbers), DIR/weights.bin (bf16, in
// the order of the rooms) and writes DIR/logits.bin (fp32, one row a token).
#include "backends/local/cuda/cuda_executor.h"
#include "tests/gpu/device_array.h"

#include <fstream>
#include <iostream>
#include <string>

namespace spillway::gpu_test {
namespace {

using namespace local;

constexpr int kBlocks = 64;
constexpr int kDecodes = 6;

struct Model {
  local::cuda::DecoderShape shape;
  std::vector<std::int32_t> tokens;
};

Model read_model(const std::string& path) {
  Model model;
  auto& s = model.shape;
  std::ifstream file(path);
  std::string word;
  int bias = 0, norms = 0, tied = 0;
  std::size_t frequencies = 0, tokens = 0;
  file >> s.layers >> s.width >> s.feed_forward_width >> s.query_heads >> s.kv_heads >>
      s.head_width >> s.vocabulary;
  file >> s.norm_epsilon >> bias >> norms >> tied >> s.rope_gain;
  auto& latent = s.latent;
  file >> latent.width >> latent.rope_width >> latent.key_width >> latent.value_width >>
      latent.score_gain;
  auto& experts = s.experts;
  file >> experts.count >> experts.chosen >> experts.shared >> experts.width >>
      experts.dense_layers >> experts.normalised >> frequencies;
  s.qkv_bias = bias != 0;
  s.head_norms = norms != 0;
  s.head_is_embedding = tied != 0;
  s.context_max = kBlocks * kBlockTokens;
  s.inverse_frequencies.resize(frequencies);
  for (double& frequency : s.inverse_frequencies) file >> frequency;
  file >> tokens;
  model.tokens.resize(tokens);
  for (std::int32_t& token : model.tokens) file >> token;
  if (!file) std::abort();
  return model;
}

std::unique_ptr<Executor> load(const Model& model, const std::string& path) {
  auto weights = local::cuda::DecoderWeights::allocate(model.shape);
  if (!weights) std::abort();
  std::ifstream file(path, std::ios::binary);
  for (const auto& room : (*weights)->rooms()) {
    std::vector<char> bytes(static_cast<std::size_t>(room.elements) * 2);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file) std::abort();
    check(cudaMemcpy(room.data, bytes.data(), bytes.size(), cudaMemcpyHostToDevice), "weights");
  }
  local::cuda::CudaExecutorOptions options;
  options.kv_blocks = kBlocks;
  options.sequences_max = 256;  // As many rows of logits a step.
  options.step_tokens_max = 256;
  options.graphs = false;
  auto executor = make_cuda_executor(model.shape, options, std::move(*weights));
  if (!executor) std::abort();
  return std::move(*executor);
}

void dump(Executor& executor, const Model& model, std::ofstream& out) {
  std::vector<std::int32_t> blocks(kBlocks);
  for (int i = 0; i < kBlocks; ++i) blocks[i] = kBlocks - 1 - i;
  const int prompt = static_cast<int>(model.tokens.size()) - kDecodes;
  std::vector<int> pieces = {prompt / 3, prompt - prompt / 3};
  pieces.insert(pieces.end(), kDecodes, 1);
  int done = 0;
  for (const int tokens : pieces) {
    Slice slice;
    slice.sequence = 1;
    slice.tokens = std::span(model.tokens).subspan(done, tokens);
    slice.first_position = done;
    slice.blocks = blocks;
    slice.logits_rows = tokens;
    const auto result = executor.run(std::span(&slice, 1));
    if (!result) std::abort();
    out.write(reinterpret_cast<const char*>(result->logits.data()),
              static_cast<std::streamsize>(result->logits.size_bytes()));
    done += tokens;
  }
}

}  // namespace
}  // namespace spillway::gpu_test

int main(int argc, char** argv) {
  using namespace spillway::gpu_test;
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  const Model model = read_model(folder + "/model.txt");
  const auto executor = load(model, folder + "/weights.bin");
  std::ofstream out(folder + "/logits.bin", std::ios::binary);
  dump(*executor, model, out);
  return out ? 0 : 1;
}
