// Runs encoders as it is told on standard input, a line of JSON each: {"folder", "batches": lists
// of texts}. Says a line of JSON: the token ids and the vector of each text, in order; or the
// error.
#include "backends/local/encoder/encoder_text.h"
#include "backends/local/model/load_encoder.h"

#include <nlohmann/json.hpp>

#include <iostream>
#include <string>
#include <vector>

namespace spillway::local {
namespace {

using nlohmann::json;

json run(const json& order) {
  const auto folder = loader::read_encoder_folder(order["folder"]);
  if (!folder) return {{"error", folder.error().message}};
  const auto text = EncoderText::from_folder(*folder);
  if (!text) return {{"error", text.error().message}};
  const auto encoder = load_encoder(*folder, 2);
  if (!encoder) return {{"error", encoder.error().message}};
  json answer = {{"ids", json::array()}, {"vectors", json::array()}};
  for (const json& batch : order["batches"]) {
    std::vector<TokenIds> inputs;
    for (const json& one : batch) {
      const auto ids = text->encode(one.get<std::string>());
      if (!ids) return {{"error", ids.error().message}};
      answer["ids"].push_back(*ids);
      inputs.push_back(*ids);
    }
    const auto vectors = (*encoder)->embed(inputs);
    if (!vectors) return {{"error", vectors.error().message}};
    for (const Embedding& vector : *vectors) answer["vectors"].push_back(vector);
  }
  return answer;
}

}  // namespace
}  // namespace spillway::local

int main() {
  for (std::string line; std::getline(std::cin, line);)
    std::cout << spillway::local::run(nlohmann::json::parse(line)).dump() << std::endl;
}
