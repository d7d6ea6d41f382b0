// Runs models as it is told on standard input, a line of JSON each: {"folder", "precision",
// "prompt": ids, "chunk": how many of them a step reads, "answer": how many tokens to go on
// greedily}. Says a line of JSON: the answer, and the logits of every token of the prompt; or the
// error.
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

constexpr int kBlocks = 32;

class Run {
 public:
  explicit Run(Executor& executor) : executor_(executor), blocks_(kBlocks) {
    // Not in order: where a block lies makes no difference.
    std::iota(blocks_.rbegin(), blocks_.rend(), 0);
  }

  // The logits of each of these tokens, which follow those before.
  std::vector<float> read(std::span<const std::int32_t> tokens) {
    Slice slice;
    slice.tokens = tokens;
    slice.first_position = position_;
    slice.blocks = blocks_;
    slice.logits_rows = static_cast<int>(tokens.size());
    const auto result = executor_.run(std::span(&slice, 1));
    if (!result) throw std::runtime_error(result.error().message);
    position_ += slice.logits_rows;
    return {result->logits.begin(), result->logits.end()};
  }

 private:
  Executor& executor_;
  std::vector<std::int32_t> blocks_;
  int position_ = 0;
};

json run(const json& order) {
  const auto file = loader::ModelFile::open(order["folder"]);
  if (!file) return {{"error", file.error().message}};
  const auto executor = load_executor(*file, {order["precision"], 1, kBlocks});
  if (!executor) return {{"error", executor.error().message}};
  Run run(**executor);
  const std::vector<std::int32_t> prompt = order["prompt"];
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
