// Runs models as it is told on standard input, a line of JSON each: {"folder", "precision",
// "prompt": ids, "chunk": how many of them a step reads, "answer": how many tokens to go on
// greedily, "crowded": whether others are read in the same steps: the whole prompt as one that
// begins, and one that says it backwards}. Says a line of JSON: the answer, and the logits of every
// token of the prompt; or the error.
#include "backends/local/engine/executor.h"
#include "backends/local/model/load_executor.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace spillway::local {
namespace {

using nlohmann::json;

constexpr int kBlocks = 32;  // Of a sequence.
constexpr int kSequences = 3;

class Run {
 public:
  // Of `others`, if there are any, the step reads all again, before what it is asked for.
  Run(Executor& executor, std::span<const std::int32_t> others)
      : executor_(executor), others_(others), blocks_(kSequences * kBlocks) {
    // Not in order: where a block lies makes no difference.
    std::iota(blocks_.rbegin(), blocks_.rend(), 0);
  }

  // The logits of each of these tokens, which follow those before.
  std::vector<float> read(std::span<const std::int32_t> tokens) {
    const int rows = static_cast<int>(tokens.size());
    std::vector<Slice> slices = {slice(tokens, position_, 0, rows)};
    const std::vector<std::int32_t> backwards(tokens.rbegin(), tokens.rend());
    if (!others_.empty()) {
      slices.insert(slices.begin(), {slice(others_, 0, 1, 0), slice(backwards, position_, 2, 0)});
    }
    const auto result = executor_.run(slices);
    if (!result) throw std::runtime_error(result.error().message);
    position_ += rows;
    return {result->logits.begin(), result->logits.end()};
  }

 private:
  Slice slice(std::span<const std::int32_t> tokens, int position, int sequence, int logits) const {
    Slice slice;
    slice.tokens = tokens;
    slice.first_position = position;
    slice.blocks =
        std::span(blocks_).subspan(static_cast<std::size_t>(sequence) * kBlocks, kBlocks);
    slice.logits_rows = logits;
    return slice;
  }

  Executor& executor_;
  std::span<const std::int32_t> others_;
  std::vector<std::int32_t> blocks_;
  int position_ = 0;
};

json run(const json& order) {
  const auto file = loader::ModelFile::open(order["folder"]);
  if (!file) return {{"error", file.error().message}};
  const auto executor = load_executor(*file, {order["precision"], 1, kSequences * kBlocks});
  if (!executor) return {{"error", executor.error().message}};
  const std::vector<std::int32_t> prompt = order["prompt"];
  const std::vector<std::int32_t> others =
      order.value("crowded", false) ? prompt : std::vector<std::int32_t>();
  Run run(**executor, others);
  const std::size_t chunk = order["chunk"];
  std::vector<float> logits;
  for (std::size_t at = 0; at < prompt.size(); at += chunk) {
    const auto count = std::min(chunk, prompt.size() - at);
    const auto rows = run.read(std::span(prompt).subspan(at, count));
    logits.insert(logits.end(), rows.begin(), rows.end());
  }
  const auto vocabulary = static_cast<std::ptrdiff_t>((*executor)->shape().vocabulary);
  std::vector<float> last(logits.end() - vocabulary, logits.end());
  std::vector<std::int32_t> answer;
  while (answer.size() < order["answer"]) {
    const auto best = std::max_element(last.begin(), last.end()) - last.begin();
    answer.push_back(static_cast<std::int32_t>(best));
    last = run.read(std::span(&answer.back(), 1));
  }
  return {{"answer", answer}, {"logits", logits}};
}

}  // namespace
}  // namespace spillway::local

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << spillway::local::run(nlohmann::json::parse(line)).dump() << std::endl;
  }
  return 0;
}
