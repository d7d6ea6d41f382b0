// Steps of a model on the CPU as it is served, without gateway or clients: a prompt by chunks, and
// decodes by batch size behind prompts of that length. One line each, medians of the repetitions:
// the time, and how much of it the process had processors for. On a busy machine with one thread,
// the second is the one to compare.
//
// usage: cpu_steps MODEL.gguf [THREADS] [REPETITIONS] [PROMPT TOKENS]
#include "backends/local/engine/executor.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/model/load_executor.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace spillway::local {
namespace {

constexpr int kBatchMax = 16;
constexpr int kDecodes = 8;  // In a row: one repetition.

struct Arguments {
  std::string model;
  int threads = 2;
  int repetitions = 9;
  int prompt = 515;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double processor_time() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  explicit Bench(const Arguments& arguments)
      : arguments_(arguments),
        blocks_each_((arguments.prompt + 2 * kDecodes) / kBlockTokens + 1),
        prompt_(static_cast<std::size_t>(arguments.prompt)),
        blocks_(static_cast<std::size_t>(kBatchMax * blocks_each_)) {
    for (std::size_t i = 0; i < prompt_.size(); ++i)
      prompt_[i] = static_cast<std::int32_t>(100 + i * 7919 % 40'000);
    std::iota(blocks_.begin(), blocks_.end(), 0);
    auto file = loader::ModelFile::open(arguments.model);
    if (!file) fail(file.error());
    auto executor =
        load_executor(*file, {"int8", arguments.threads, static_cast<int>(blocks_.size())});
    if (!executor) fail(executor.error());
    executor_ = std::move(*executor);
  }

  void run() {
    for (const int chunk : {256, 512, arguments_.prompt}) {
      measure("prompt, chunks of " + std::to_string(chunk), arguments_.prompt,
              [&] { read_prompt(0, chunk); });
    }
    for (int sequence = 0; sequence < kBatchMax; ++sequence) read_prompt(sequence, 256);
    for (const int batch : {1, 2, 4, 8, kBatchMax}) {
      measure("8 decodes of " + std::to_string(batch), batch * kDecodes, [&] { decode(batch); });
    }
  }

 private:
  [[noreturn]] static void fail(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    std::exit(1);
  }

  Slice slice(int sequence, int first, int count, int logits) const {
    const auto from = static_cast<std::size_t>(sequence * blocks_each_);
    return {static_cast<SequenceId>(sequence),
            std::span(prompt_).subspan(static_cast<std::size_t>(first % arguments_.prompt),
                                       static_cast<std::size_t>(count)),
            first, std::span(blocks_).subspan(from, static_cast<std::size_t>(blocks_each_)),
            logits};
  }

  void step(const std::vector<Slice>& slices) {
    if (const auto result = executor_->run(slices); !result) fail(result.error());
  }

  void read_prompt(int sequence, int chunk) {
    for (int first = 0; first < arguments_.prompt; first += chunk) {
      const int count = std::min(chunk, arguments_.prompt - first);
      step({slice(sequence, first, count, first + count == arguments_.prompt ? 1 : 0)});
    }
  }

  void decode(int batch) {
    for (int i = 0; i < kDecodes; ++i) {
      std::vector<Slice> slices;
      for (int sequence = 0; sequence < batch; ++sequence)
        slices.push_back(slice(sequence, arguments_.prompt + i, 1, 1));
      step(slices);
    }
  }

  template <class Work>
  void measure(const std::string& what, int tokens, const Work& work) {
    work();
    std::vector<double> times;
    std::vector<double> processor_times;
    for (int i = 0; i < arguments_.repetitions; ++i) {
      const double began = now();
      const double processor_began = processor_time();
      work();
      times.push_back(now() - began);
      processor_times.push_back(processor_time() - processor_began);
    }
    std::printf("%-24s %8.2f ms, of processors %8.2f ms, %6.0f tokens/s\n", what.c_str(),
                1e3 * median(times), 1e3 * median(processor_times), tokens / median(times));
    std::fflush(stdout);
  }

  const Arguments arguments_;
  const int blocks_each_;
  std::vector<std::int32_t> prompt_;
  std::vector<std::int32_t> blocks_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace
}  // namespace spillway::local

int main(int count, char** values) {
  if (count < 2) {
    std::fprintf(stderr, "usage: cpu_steps MODEL.gguf [THREADS] [REPETITIONS] [PROMPT TOKENS]\n");
    return 2;
  }
  spillway::local::Arguments arguments{values[1]};
  int* const numbers[]{&arguments.threads, &arguments.repetitions, &arguments.prompt};
  for (int i = 2; i < count && i < 5; ++i) *numbers[i - 2] = std::max(1, std::atoi(values[i]));
  spillway::local::Bench(arguments).run();
  return 0;
}
