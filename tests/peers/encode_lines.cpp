// Usage: encode_lines TOKENIZER_JSON|GGUF_FILE < LINES. Each line is a text as a JSON string; the
// answer to it is a line of JSON: its ids, and, of a decoder, the text that they decode to; a line
// that is ids is answered alike. With --decoder a tokenizer.json is read as that of one, whatever
// its kind. With --time, how long reading the file takes, and encoding the 512 tokens of the first
// line: the fastest of 1,000 times, which others of a busy machine do not change.
#include "backends/local/loader/model_file.h"
#include "backends/local/tokenizer/detokenizer.h"
#include "backends/local/tokenizer/framed_tokenizer.h"
#include "backends/local/tokenizer/gguf_vocabulary.h"
#include "backends/local/tokenizer/tokenizer_json.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <limits>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

namespace spillway::tokenizer {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

std::string decoded(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  Detokenizer stream(tokenizer, SpecialTokens::show);
  std::string text;
  for (const TokenId id : ids) text += stream.push(id);
  return text + stream.finish();
}

// Streamed text is at every step what decoding that far gives.
bool streams_alike(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  Detokenizer stream(tokenizer, SpecialTokens::show);
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    text += stream.push(ids[i]);
    Detokenizer ended = stream;
    if (text + ended.finish() != decoded(tokenizer, ids.first(i + 1))) return false;
  }
  return true;
}

// Texts that are encoded whole.
std::vector<TokenId> encoded(const Unigram& tokenizer, const std::string& text) {
  return tokenizer.encode(text, WordPiece::kAll);
}

template <class Encodes>
std::vector<TokenId> encoded(const Encodes& tokenizer, const std::string& text) {
  return tokenizer.encode(text);
}

template <class Encodes>
void print_time(const Encodes& tokenizer, const std::string& text) {
  auto fastest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 1000; ++i) {
    const auto begin = Clock::now();
    const auto ids = encoded(tokenizer, text);
    fastest =
        std::min(fastest, std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    if (ids.empty()) return;
  }
  std::printf("{\"tokens\": %zu, \"milliseconds\": %.4f}\n", encoded(tokenizer, text).size(),
              fastest);
}

bool print_ids(const Tokenizer& tokenizer, const json& asked) {
  const auto ids = asked.is_string() ? tokenizer.encode_control(asked.get<std::string>())
                                     : asked.get<std::vector<TokenId>>();
  if (!streams_alike(tokenizer, ids)) {
    std::cerr << "streamed text differs from the whole: " << asked << '\n';
    return false;
  }
  std::cout << json{{"ids", ids}, {"text", decoded(tokenizer, ids)}}.dump() << '\n';
  return true;
}

bool print_ids(const WordPiece& words, const json& text) {
  std::cout << json{{"ids", words.encode_control(text.get<std::string>())}}.dump() << '\n';
  return true;
}

bool print_ids(const Unigram& tokenizer, const json& text) {
  std::cout << json{{"ids", encoded(tokenizer, text.get<std::string>())}}.dump() << '\n';
  return true;
}

template <class Encodes>
int encode_lines(const Encodes& tokenizer, bool timed) {
  for (std::string line; std::getline(std::cin, line);) {
    const json asked = json::parse(line);
    if (timed) {
      print_time(tokenizer, asked.get<std::string>());
    } else if (!print_ids(tokenizer, asked)) {
      return 1;
    }
  }
  return 0;
}

void print_reading(Clock::time_point begin) {
  const std::chrono::duration<double> taken = Clock::now() - begin;
  std::cerr << "read in " << taken.count() << " s\n";
}

int fail(const Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

int run_gguf(const std::string& path, bool timed) {
  const auto begin = Clock::now();
  const auto file = loader::ModelFile::open(path);
  if (!file) return fail(file.error());
  const auto tokenizer = tokenizer_from(file->metadata());
  if (!tokenizer) return fail(tokenizer.error());
  print_reading(begin);
  return encode_lines(*tokenizer, timed);
}

int run(const std::string& path, bool timed, bool decodes) {
  if (path.ends_with(".gguf")) return run_gguf(path, timed);
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const auto begin = Clock::now();
  if (decodes) {
    const auto decoder = tokenizer_from_json(text.str());
    if (!decoder) return fail(decoder.error());
    print_reading(begin);
    return encode_lines(decoder->tokenizer, timed);
  }
  const auto read = framed_tokenizer_from_json(text.str());
  if (!read) return fail(read.error());
  print_reading(begin);
  return std::visit([&](const auto& kind) { return encode_lines(kind, timed); }, read->kind);
}

}  // namespace
}  // namespace spillway::tokenizer

int main(int count, char** arguments) {
  if (count < 2) return 2;
  const std::vector<std::string> options(arguments + 2, arguments + count);
  const auto has = [&](const char* one) { return std::ranges::count(options, one) > 0; };
  return spillway::tokenizer::run(arguments[1], has("--time"), has("--decoder"));
}
