// Whole steps of models with real shapes and random weights, through the Executor door, host time
// included: prompts, decodes by batch size, and prompts beside decodes. One line each, with the
// share of the card's ceilings.
//
// usage: gpu_decode_bench MODEL [--gpus N] [--fp8 | --int8 | --int4 | --zeros GROUP] [--kv-fp8]
// [--eager] [--logprobs]
// [--skinny ROWS] [--packed ROWS] [--whole-sums] [--batches 1,32,128] [--chunks 128,512,1024]
// [--profile CHUNK] [--mix 64x576,40x2100 --beside 512@1000,512@0]; MODEL is one of model_shapes.h
// With --mix no other steps than these: so many decodes of such contexts beside so many tokens of a
// prompt, from such a position on.
#include "backends/local/cuda/cuda_executor.h"
#include "backends/local/cuda/decoder_division.h"
#include "backends/local/sample/sampler.h"
#include "tests/gpu/device_array.h"
#include "tests/gpu/model_shapes.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <cuda_profiler_api.h>
#include <limits>
#include <memory>
#include <string>
#include <utility>

namespace spillway::gpu_test {
namespace {

using namespace local;
using local::cuda::CudaExecutorOptions;
using local::cuda::DecoderShape;
using local::cuda::DecoderWeights;

constexpr double kCopyBytes =
    3.0e12;  // Ceilings seen on an H100: device copy, and bf16 products of random data.
constexpr double kMatmul = 790e12;
constexpr int kPrompt = 512;
constexpr int kSteps = 48;
constexpr int kMixedFrom = 128;  // Batches that are also measured beside prompts.
constexpr int kBlocksEach = (kPrompt + 3 * kSteps + kBlockTokens) / kBlockTokens;

struct Arguments {
  std::string model;
  std::vector<std::pair<int, int>> mix;     // Decodes, and the context of each.
  std::vector<std::pair<int, int>> beside;  // Tokens of a prompt, and the position of the first.
  std::vector<int> batches = {1, 32, 128};
  std::vector<int> chunks = {128, 512, 1024};  // Of prompts that are read beside a batch.
  int skinny = 8;
  int packed = 512;
  bool whole_sums = false;  // On every GPU, however many rows there are.
  bool graphs = true;
  local::Precision precision = local::Precision::bf16;
  int zeros = 0;  // Columns of a group of four bits with a zero point of its own; 0: none has.
  bool kv_e4m3 = false;
  bool logprobs = false;  // Every token is scored, and the 20 likeliest beside it.
  int gpus = 1;           // That compute together; shares are of one.
  int profile = -1;       // For a profiler: marks the last step beside a prompt of so many tokens.
};

struct Sequence {
  SequenceId id = 0;
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> blocks;
  int done = 0;
};

class Bench {
 public:
  explicit Bench(const Arguments& arguments)
      : arguments_(arguments), shape_(shape_of(arguments.model)) {
    Sampling greedy;
    greedy.temperature = 0.0;
    if (arguments.logprobs) greedy.logprobs = 20;
    sampler_ = std::make_unique<SequenceSampler>(greedy, std::span<const std::int32_t>(),
                                                 std::vector<std::int32_t>(), 1);
    const auto begin = now();
    auto weights = random_weights();
    head_bytes_ = 2.0 * shape_.vocabulary * shape_.width;
    for (const local::cuda::RoomShape& room : local::cuda::rooms_of(shape_)) {
      if (room.name.starts_with("layers.")) body_bytes_ += 2.0 * double(room.rows) * room.columns;
    }
    CudaExecutorOptions options;
    options.sequences_max = arguments.batches.back() + 8;
    options.kv_blocks = options.sequences_max * kBlocksEach;
    if (!arguments.mix.empty()) options.sequences_max = options.kv_blocks = 1;
    for (const auto& [decodes, context] : arguments.mix) {
      options.sequences_max += decodes;
      options.kv_blocks += decodes * blocks_for(context);
    }
    for (const auto& [tokens, position] : arguments.beside)
      options.kv_blocks += blocks_for(position + tokens);
    options.step_tokens_max = 8 * kPrompt;
    options.graphs = arguments.graphs;
    options.precision = arguments.precision;
    options.kv_e4m3 = arguments.kv_e4m3;
    weight_bytes_ = body_bytes_ / 2 * bytes_each() + head_bytes_;
    if (arguments.zeros > 0) weights.front() = with_zeros(*weights.front());
    const local::Experts& experts = shape_.experts;
    expert_bytes_ = 6.0 * (shape_.layers - experts.dense_layers) * experts.width * shape_.width;
    options.skinny_rows_max = arguments.skinny;
    options.packed_rows_max = arguments.packed;
    if (arguments.whole_sums) options.parted_numbers_min = std::numeric_limits<int>::max();
    auto executor = make_cuda_executor(shape_, options, std::move(weights));
    if (!executor) {
      std::fprintf(stderr, "%s\n", executor.error().message.c_str());
      std::abort();
    }
    executor_ = std::move(*executor);
    std::printf("%s %s: ready in %.2f s\n", arguments.model.c_str(), mode().c_str(), now() - begin);
  }

  // Of each rank its own: all of a model may be too much for one GPU. What all have is the same.
  local::cuda::RankWeights random_weights() const {
    local::cuda::RankWeights weights;
    for (int rank = 0; rank < arguments_.gpus; ++rank) {
      check(cudaSetDevice(rank), "device");
      auto own = DecoderWeights::allocate(
          local::cuda::shape_of(shape_, local::cuda::Share{rank, arguments_.gpus}));
      if (!own || !(*own)->fill_random(1)) std::abort();
      weights.push_back(std::move(*own));
    }
    check(cudaSetDevice(0), "device");
    return weights;
  }

  // The codes that int4 has, in such groups; scales and zero points are all alike.
  std::unique_ptr<DecoderWeights> with_zeros(const DecoderWeights& plain) const {
    const auto codes = plain.packed(shape_, Precision::int4);
    const auto format = local::cuda::format_of({arguments_.zeros, true});
    auto weights = DecoderWeights::allocate(shape_, format);
    if (!codes || !weights) std::abort();
    for (const auto& room : (*weights)->rooms()) {
      const bool is_bf16 = room.scales == nullptr;
      const std::size_t rows = room.elements / room.columns;
      const std::size_t units = (room.columns + 127) / 128;
      const auto* const from = (is_bf16 ? plain : **codes).find(room.name);
      check(cudaMemcpy(room.data, from->data, is_bf16 ? room.elements * 2 : rows * units * 64,
                       cudaMemcpyDeviceToDevice),
            "codes");
      if (is_bf16) continue;
      const Bf16 scale(0.3f / std::sqrt(float(room.columns)));
      const std::vector<std::uint32_t> words(rows * units * (128 / arguments_.zeros),
                                             std::uint32_t{scale.bits} << 16 | Bf16(136.0f).bits);
      check(cudaMemcpy(room.scales, words.data(), words.size() * 4, cudaMemcpyHostToDevice),
            "scales");
    }
    return std::move(*weights);
  }

  void run() {
    if (!arguments_.mix.empty()) return beside_mix();
    prefill(1);
    prefill(8);
    for (const int batch : arguments_.batches) decode(batch);
    for (const int batch : arguments_.batches) {
      for (const int chunk : arguments_.chunks) {
        if (batch >= kMixedFrom) mixed(batch, chunk);
      }
    }
  }

 private:
  // Of a weight; the scales of rows do not count.
  double bytes_each() const {
    const double more = arguments_.zeros > 0 ? 4.0 / arguments_.zeros - 2.0 / 128 : 0.0;
    return double(matrix_bytes(arguments_.precision, 1, 1 << 20)) / (1 << 20) + more;
  }
  // Of weights that a step of so many tokens reads, if they choose experts at random.
  double read_bytes(double tokens) const {
    const local::Experts& experts = shape_.experts;
    if (!experts.used()) return weight_bytes_;
    const double missed = std::pow(1.0 - double(experts.chosen) / experts.count, tokens);
    return weight_bytes_ - experts.count * missed * expert_bytes_ / 2 * bytes_each();
  }
  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  std::string mode() const {
    const std::string gpus = arguments_.gpus > 1 ? std::to_string(arguments_.gpus) + " GPUs " : "";
    return gpus + (arguments_.whole_sums ? "whole sums " : "") +
           (arguments_.precision != Precision::bf16
                ? std::string(name_of(arguments_.precision)) + " "
                : "") +
           (arguments_.zeros > 0 ? "by " + std::to_string(arguments_.zeros) + " with zeros " : "") +
           (arguments_.kv_e4m3 ? "kv fp8 " : "") + (arguments_.logprobs ? "logprobs " : "") +
           (arguments_.graphs ? "graphs" : "eager");
  }

  Sequence fresh() {
    Sequence sequence;
    sequence.id = ++last_id_;
    for (int i = 0; i < kPrompt; ++i)
      sequence.tokens.push_back(random_int(0, shape_.vocabulary - 1));
    const int place =
        static_cast<int>(last_id_ % static_cast<SequenceId>(arguments_.batches.back() + 8));
    for (int i = 0; i < kBlocksEach; ++i) sequence.blocks.push_back(place * kBlocksEach + i);
    return sequence;
  }

  Slice slice_of(Sequence& sequence, int tokens, int logits) {
    Slice slice;
    slice.sequence = sequence.id;
    slice.tokens = std::span(sequence.tokens).subspan(sequence.done, tokens);
    slice.first_position = sequence.done;
    slice.blocks = sequence.blocks;
    slice.logits_rows = logits;
    slice.sampler = sampler_.get();
    sequence.done += tokens;
    return slice;
  }

  // Seconds of the step; its tokens are appended.
  double step(std::vector<Sequence*> who, const std::vector<Slice>& slices) {
    const auto begin = now();
    const auto result = executor_->run(slices);
    const double seconds = now() - begin;
    if (!result) {
      std::fprintf(stderr, "%s\n", result.error().message.c_str());
      std::abort();
    }
    for (std::size_t i = 0; i < who.size(); ++i) who[i]->tokens.push_back(result->sampled[i]);
    return seconds;
  }

  static double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + long(values.size() / 2), values.end());
    return values[values.size() / 2];
  }

  // Operations of a step: the products of all tokens, the head's rows, and causal attention over
  // `pairs` of query and key.
  double operations(double tokens, double logits, double pairs) const {
    const double idle = (shape_.experts.count - shape_.experts.chosen) * expert_bytes_;
    return tokens * (body_bytes_ - idle) + logits * head_bytes_ +
           4.0 * shape_.layers * shape_.query_width() * pairs;
  }

  void report(const std::string& what, double seconds, double tokens, double bytes,
              double ops) const {
    std::printf("%s %s %-26s %8.3f ms %9.0f tok/s  copy %5.1f %%  matmul %5.1f %%\n",
                arguments_.model.c_str(), mode().c_str(), what.c_str(), seconds * 1e3,
                tokens / seconds, bytes / seconds / kCopyBytes * 100,
                ops / seconds / kMatmul * 100);
    std::fflush(stdout);
  }

  void prefill(int prompts) {
    std::vector<double> seconds;
    for (int repeat = 0; repeat < 6; ++repeat) {
      std::vector<Sequence> sequences;
      for (int i = 0; i < prompts; ++i) sequences.push_back(fresh());
      std::vector<Slice> slices;
      std::vector<Sequence*> who;
      for (Sequence& sequence : sequences) {
        slices.push_back(slice_of(sequence, kPrompt, 1));
        who.push_back(&sequence);
      }
      const double took = step(who, slices);
      if (repeat > 0) seconds.push_back(took);
    }
    const double tokens = double(prompts) * kPrompt;
    report("prefill " + std::to_string(prompts) + " x 512", median(seconds), tokens,
           read_bytes(tokens), operations(tokens, prompts, tokens * (kPrompt + 1) / 2));
  }

  std::vector<Sequence> prompted(int batch) {
    std::vector<Sequence> sequences;
    for (int i = 0; i < batch; ++i) {
      sequences.push_back(fresh());
      const std::vector<Slice> slices = {slice_of(sequences.back(), kPrompt, 1)};
      step({&sequences.back()}, slices);
    }
    return sequences;
  }

  double decode_step(std::vector<Sequence>& sequences, std::span<Sequence> prompts = {}) {
    std::vector<Slice> slices;
    std::vector<Sequence*> who;
    for (Sequence& sequence : sequences) {
      slices.push_back(slice_of(sequence, 1, 1));
      who.push_back(&sequence);
    }
    for (Sequence& prompt : prompts) {
      slices.push_back(slice_of(prompt, static_cast<int>(prompt.tokens.size()), 0));
    }
    return step(who, slices);
  }

  static double keys_of(const std::vector<Sequence>& sequences) {
    double keys = 0;
    for (const Sequence& sequence : sequences) keys += sequence.done;
    return keys;
  }

  double kv_bytes(const std::vector<Sequence>& sequences) const {
    const double heads = 2.0 * shape_.kv_heads;
    const double token = arguments_.kv_e4m3 ? heads * (shape_.head_width + sizeof(float))
                                            : 2.0 * shape_.kv_token_width();
    return keys_of(sequences) * shape_.layers * token;
  }

  void decode(int batch) {
    auto sequences = prompted(batch);
    std::vector<double> seconds;
    for (int i = 0; i < kSteps; ++i) {
      const double took = decode_step(sequences);
      if (i >= 4) seconds.push_back(took);
    }
    const double keys = keys_of(sequences);
    report("decode " + std::to_string(batch), median(seconds), batch,
           read_bytes(batch) + kv_bytes(sequences), operations(batch, batch, keys));
  }

  // Of one prompt, or beyond 1,024 tokens of several.
  static int longest_prompt(int chunk) { return chunk <= 1024 ? chunk : kPrompt; }

  std::vector<Sequence> prompts_of(int chunk) {
    std::vector<Sequence> prompts;
    for (int left = chunk; left > 0;) {
      const int tokens = std::min(left, longest_prompt(chunk));
      Sequence prompt = fresh();
      prompt.tokens.resize(static_cast<std::size_t>(tokens));
      for (int& token : prompt.tokens) token = random_int(0, shape_.vocabulary - 1);
      while (static_cast<int>(prompt.blocks.size()) * kBlockTokens < tokens)
        prompt.blocks.push_back(prompt.blocks.back());
      prompts.push_back(std::move(prompt));
      left -= tokens;
    }
    return prompts;
  }

  // `chunk` tokens of prompts beside the decodes of a full batch.
  void mixed(int batch, int chunk) {
    auto sequences = prompted(batch);
    std::vector<double> seconds;
    for (int i = 0; i < 12; ++i) {
      std::vector<Sequence> prompts = prompts_of(chunk);
      const bool marked = chunk == arguments_.profile && i == 11;
      if (marked) check(cudaProfilerStart(), "profiler");
      const double took = decode_step(sequences, prompts);
      if (marked) check(cudaProfilerStop(), "profiler");
      if (i >= 2) seconds.push_back(took);
    }
    const double keys = keys_of(sequences);
    report(std::to_string(batch) + " beside prompt of " + std::to_string(chunk), median(seconds),
           batch + chunk, read_bytes(batch + chunk) + kv_bytes(sequences),
           operations(batch + chunk, batch, keys + chunk * (longest_prompt(chunk) + 1) / 2.0));
  }

  static int blocks_for(int tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

  Sequence standing(int tokens) {
    Sequence sequence;
    sequence.id = ++last_id_;
    for (int i = 0; i < tokens; ++i)
      sequence.tokens.push_back(random_int(0, shape_.vocabulary - 1));
    for (int i = 0; i < blocks_for(tokens); ++i) sequence.blocks.push_back(next_block_++);
    return sequence;
  }

  // All but the last `left` tokens of each, several in a step.
  void read(std::span<Sequence> sequences, int left) {
    std::vector<Slice> slices;
    int room = 8 * kPrompt;
    for (Sequence& sequence : sequences) {
      const int tokens = static_cast<int>(sequence.tokens.size()) - left;
      if (tokens == 0) continue;
      if (tokens > room) {
        step({}, std::exchange(slices, {}));
        room = 8 * kPrompt;
      }
      slices.push_back(slice_of(sequence, tokens, 0));
      room -= tokens;
    }
    if (!slices.empty()) step({}, slices);
  }

  // The same step again and again: nobody gets on.
  void beside_mix() {
    std::vector<Sequence> decodes;
    for (const auto& [count, context] : arguments_.mix) {
      for (int i = 0; i < count; ++i) decodes.push_back(standing(context));
    }
    read(decodes, 1);
    for (const auto& [tokens, position] : arguments_.beside) {
      Sequence prompt = standing(position + tokens);
      read({&prompt, 1}, tokens);
      std::vector<double> seconds;
      for (int i = 0; i < 24; ++i) {
        std::vector<Slice> slices;
        for (Sequence& sequence : decodes) slices.push_back(again(sequence, 1, 1));
        if (tokens > 0) slices.push_back(again(prompt, tokens, 0));
        seconds.push_back(step({}, slices));
      }
      const double rows = double(decodes.size()) + tokens;
      const double median_of_all = median(seconds);
      report(std::to_string(decodes.size()) + " of a mix beside " + std::to_string(tokens) + " @ " +
                 std::to_string(position),
             median_of_all, rows, read_bytes(rows) + kv_bytes(decodes),
             operations(rows, double(decodes.size()),
                        keys_of(decodes) + tokens * (position + (tokens + 1) / 2.0)));
      std::printf("%44.2f us a row of %.0f\n", median_of_all / rows * 1e6, rows);
    }
  }

  Slice again(Sequence& sequence, int tokens, int logits) {
    sequence.done = static_cast<int>(sequence.tokens.size()) - tokens;
    return slice_of(sequence, tokens, logits);
  }

  const Arguments arguments_;
  const DecoderShape shape_;
  std::unique_ptr<SequenceSampler> sampler_;
  std::unique_ptr<Executor> executor_;
  double body_bytes_ = 0;  // Of the weights of all layers: also the operations a token takes there.
  double head_bytes_ = 0;
  double weight_bytes_ = 0;  // Of all weights as they are kept.
  double expert_bytes_ = 0;  // Of an expert, in all layers, in bf16.
  SequenceId last_id_ = 0;
  std::int32_t next_block_ = 0;
};

std::vector<int> numbers_of(const char* list) {
  std::vector<int> numbers;
  for (const char* at = list; at != nullptr; at = std::strchr(at, ',')) {
    numbers.push_back(std::atoi(*at == ',' ? ++at : at));
  }
  return numbers;
}

std::vector<std::pair<int, int>> pairs_of(const char* list) {
  std::vector<std::pair<int, int>> pairs;
  for (const char* at = list; at != nullptr; at = std::strchr(at, ',')) {
    at += *at == ',' ? 1 : 0;
    pairs.emplace_back(std::atoi(at), std::atoi(std::strpbrk(at, "x@") + 1));
  }
  return pairs;
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--eager") {
      arguments.graphs = false;
    } else if (word == "--fp8" || word == "--int8" || word == "--int4") {
      arguments.precision = *local::precision_named(word.substr(2));
    } else if (word == "--zeros" && i + 1 < argc) {
      arguments.precision = Precision::int4;
      arguments.zeros = std::atoi(argv[++i]);
    } else if (word == "--logprobs") {
      arguments.logprobs = true;
    } else if (word == "--kv-fp8") {
      arguments.kv_e4m3 = true;
    } else if (word == "--gpus" && i + 1 < argc) {
      arguments.gpus = std::atoi(argv[++i]);
    } else if (word == "--profile" && i + 1 < argc) {
      arguments.profile = std::atoi(argv[++i]);
    } else if (word == "--skinny" && i + 1 < argc) {
      arguments.skinny = std::atoi(argv[++i]);
    } else if (word == "--packed" && i + 1 < argc) {
      arguments.packed = std::atoi(argv[++i]);
    } else if (word == "--whole-sums") {
      arguments.whole_sums = true;
    } else if (word == "--batches" && i + 1 < argc) {
      arguments.batches = numbers_of(argv[++i]);
    } else if (word == "--mix" && i + 1 < argc) {
      arguments.mix = pairs_of(argv[++i]);
    } else if (word == "--beside" && i + 1 < argc) {
      arguments.beside = pairs_of(argv[++i]);
    } else if (word == "--chunks" && i + 1 < argc) {
      arguments.chunks = numbers_of(argv[++i]);
    } else {
      arguments.model = word;
    }
  }
  return arguments;
}

}  // namespace
}  // namespace spillway::gpu_test

int main(int argc, char** argv) {
  spillway::gpu_test::Bench bench(spillway::gpu_test::parse(argc, argv));
  bench.run();
  return 0;
}
