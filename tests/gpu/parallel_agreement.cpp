// A model of a real shape on several GPUs beside the same on one: logits of given tokens, and what
// each answers greedily. For scale, one GPU beside itself with another kernel for few tokens: with
// random weights many logits are nearly the same, and any other order of sums decides among them.
// Exit 1 if they disagree as only wrong ones do.
//
// usage: gpu_parallel_agreement MODEL RANKS [--fp8] [LAYERS]   (MODEL as of gpu_decode_bench, which
// may have fewer layers, or a model file; in fp8 one GPU and several have scales of their own)
#include "backends/local/cuda/load_cuda_executor.h"
#include "backends/local/sample/sampler.h"
#include "tests/gpu/model_shapes.h"
#include "tests/gpu/rank_weights.h"

#include <algorithm>
#include <memory>
#include <string>

namespace spillway::gpu_test {
namespace {

using namespace local;
using local::cuda::DecoderShape;
using local::cuda::DecoderWeights;

constexpr int kPrompt = 96;
constexpr int kAnswer = 128;
constexpr int kSequences = 8;
constexpr int kBlocksEach = (kPrompt + kAnswer) / kBlockTokens;
// Rows in a wrong place agree by chance; random weights make near ties of a tenth, and other
// experts of some tokens.
constexpr double kAgreementMin = 0.6;
// Of a mixture in 8 bits, whose rows of x are E4M3 from 9 tokens on, one GPU agrees less with
// itself.
constexpr double kOfItself = 0.8;

template <class Value>
Value made(Result<Value> value) {
  if (value) return std::move(*value);
  std::fprintf(stderr, "%s\n", value.error().message.c_str());
  std::exit(1);
}

struct OneAndMany {
  std::unique_ptr<Executor> one, many;
};

local::cuda::CudaExecutorOptions executor_options(Precision precision) {
  local::cuda::CudaExecutorOptions options;
  options.precision = precision;
  options.sequences_max = kPrompt;  // As many rows of logits.
  options.kv_blocks = kSequences * kBlocksEach;
  options.step_tokens_max = kSequences * kPrompt;
  return options;
}

OneAndMany of_shape(DecoderShape shape, int ranks, Precision precision, int layers) {
  if (layers > 0) shape.layers = layers;
  auto whole = made(DecoderWeights::allocate(shape));
  if (!whole->fill_random(1)) std::exit(1);
  OneAndMany both;
  const auto options = executor_options(precision);
  both.many = made(make_cuda_executor(shape, options, rank_weights(shape, *whole, ranks)));
  both.one = made(make_cuda_executor(shape, options, std::move(whole)));
  return both;
}

OneAndMany of_file(const std::string& path, int ranks, Precision precision) {
  const auto file = made(loader::ModelFile::open(path));
  const auto loaded = [&](int gpus) {
    auto executors =
        made(local::cuda::load_cuda_executors(file, executor_options(precision), 0, {1, gpus}));
    return std::move(executors.front());
  };
  OneAndMany both;
  both.many = loaded(ranks);
  both.one = loaded(1);
  return both;
}

struct Sequence {
  int place;
  std::vector<std::int32_t> tokens, blocks;
};

std::vector<Sequence> random_sequences(int vocabulary) {
  std::vector<Sequence> sequences;
  for (int place = 0; place < kSequences; ++place) {
    Sequence sequence = {place, {}, {}};
    for (int i = 0; i < kPrompt; ++i) sequence.tokens.push_back(random_int(0, vocabulary - 1));
    for (int i = 0; i < kBlocksEach; ++i) sequence.blocks.push_back(place * kBlocksEach + i);
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

// Of all tokens, `at_once` a step.
std::vector<float> logits_of(Executor& executor, const Sequence& sequence, int at_once) {
  std::vector<float> logits;
  for (int done = 0; done < kPrompt; done += at_once) {
    const auto tokens = std::span(sequence.tokens).subspan(done, at_once);
    const Slice slice = {
        SequenceId(sequence.place + 1), tokens, done, sequence.blocks, at_once, nullptr};
    const auto result = executor.run(std::span(&slice, 1));
    if (!result) std::exit(1);
    logits.insert(logits.end(), result->logits.begin(), result->logits.end());
  }
  return logits;
}

// All at once.
std::vector<std::vector<std::int32_t>> answers(Executor& executor,
                                               std::vector<Sequence> sequences) {
  Sampling greedy;
  greedy.temperature = 0.0;
  const SequenceSampler sampler(greedy, {}, {}, 1);
  std::vector<std::vector<std::int32_t>> all(sequences.size());
  for (int step = 0; step < kAnswer; ++step) {
    std::vector<Slice> slices;
    for (Sequence& s : sequences) {
      const int count = step == 0 ? kPrompt : 1;
      const int done = static_cast<int>(s.tokens.size()) - count;
      slices.push_back({SequenceId(s.place + 101), std::span(s.tokens).subspan(done, count), done,
                        s.blocks, 1, &sampler});
    }
    const auto result = executor.run(slices);
    if (!result) std::exit(1);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      sequences[i].tokens.push_back(result->sampled[i]);
      all[i].push_back(result->sampled[i]);
    }
  }
  return all;
}

// The share of tokens with the same best logit.
double compare_logits(Executor& one, Executor& many, const std::vector<Sequence>& sequences,
                      int at_once) {
  const int vocabulary = one.shape().vocabulary;
  int agreeing = 0;
  double worst = 0.0;
  float behind = 0.0f;
  for (const Sequence& sequence : sequences) {
    const auto a = logits_of(one, sequence, kPrompt), b = logits_of(many, sequence, at_once);
    for (int row = 0; row < kPrompt; ++row) {
      const float* x = a.data() + std::size_t(row) * vocabulary;
      const float* y = b.data() + std::size_t(row) * vocabulary;
      const auto top = std::max_element(x, x + vocabulary) - x;
      const auto other = std::max_element(y, y + vocabulary) - y;
      agreeing += top == other ? 1 : 0;
      behind = std::max(behind, x[top] - x[other]);
      const std::vector<double> exact(x, x + vocabulary);
      worst = std::max(worst, relative_error<float>({y, std::size_t(vocabulary)}, exact));
    }
  }
  std::printf(
      "top-1 agreement %.2f %% of %d tokens, at most %.3f behind; logits differ by %.2f %% "
      "in the worst row\n",
      100.0 * agreeing / (kPrompt * kSequences), kPrompt * kSequences, behind, 100 * worst);
  std::fflush(stdout);
  return double(agreeing) / (kPrompt * kSequences);
}

void compare_answers(Executor& one, Executor& many, const std::vector<Sequence>& sequences) {
  const auto a = answers(one, sequences), b = answers(many, sequences);
  int whole = 0;
  double same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto until = std::mismatch(a[i].begin(), a[i].end(), b[i].begin()).first - a[i].begin();
    whole += until == kAnswer ? 1 : 0;
    same += double(until) / double(a.size());
  }
  std::printf(
      "greedy answers of %d tokens: %d of %zu the same to the end, %.1f tokens on average\n",
      kAnswer, whole, a.size(), same);
}

}  // namespace
}  // namespace spillway::gpu_test

int main(int argc, char** argv) {
  using namespace spillway::gpu_test;
  std::vector<std::string> given(argv + 1, argv + argc);
  const bool e4m3 = std::erase(given, "--fp8") > 0;
  if (given.size() < 2 || given.size() > 3) return 2;
  const std::string& model = given[0];
  const int ranks = std::stoi(given[1]);
  const int layers = given.size() > 2 ? std::stoi(given[2]) : 0;
  const auto precision = e4m3 ? spillway::local::Precision::fp8 : spillway::local::Precision::bf16;
  const auto [one, many] = model.ends_with(".gguf")
                               ? of_file(model, ranks, precision)
                               : of_shape(shape_of(model), ranks, precision, layers);
  const auto sequences = random_sequences(one->shape().vocabulary);
  std::printf("one GPU, 8 tokens a step beside %d: ", kPrompt);
  const double itself = compare_logits(*one, *one, sequences, 8);
  const double least = std::min(kAgreementMin, kOfItself * itself);
  bool good = true;
  for (const int at_once : {kPrompt, 8}) {
    std::printf("%s on %d GPUs, %d tokens a step: ", model.c_str(), ranks, at_once);
    good = compare_logits(*one, *many, sequences, at_once) >= least && good;
  }
  compare_answers(*one, *many, sequences);
  return good ? 0 : 1;
}
