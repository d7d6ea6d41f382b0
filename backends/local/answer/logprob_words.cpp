#include "backends/local/answer/logprob_words.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace spillway::local::answer {

namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinity: this is OpenAI's.
float in_range(float logprob) { return std::max(logprob, -9999.0f); }

// A token as a name: of bytes that are no text, as OpenAI writes it.
std::string name_of(const Spelling& token) {
  if (token.is_text) return token.bytes;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string name = "bytes:";
  for (const char c : token.bytes) {
    const auto byte = static_cast<unsigned char>(c);
    name.append("\\x").append({kDigits[byte >> 4], kDigits[byte & 15]});
  }
  return name;
}

Json entry(const std::string& spelling, float logprob) {
  Json bytes = Json::array();
  for (const char c : spelling) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", spelling}, {"bytes", std::move(bytes)}, {"logprob", in_range(logprob)}};
}

void add_to_content(const ScoredSpelling& token, Json& words) {
  Json told = entry(token.token.bytes, token.logprob.value_or(0.0f));
  told["top_logprobs"] = Json::array();
  for (const LikelySpelling& one : token.likeliest)
    told["top_logprobs"].push_back(entry(one.token.bytes, one.logprob));
  words["content"].push_back(std::move(told));
  words["refusal"] = nullptr;
}

void add_to_lists(const ScoredSpelling& token, Json& words) {
  Json top = nullptr;
  Json logprob = nullptr;
  if (token.logprob) {
    logprob = in_range(*token.logprob);
    for (const LikelySpelling& one : token.likeliest)
      top[name_of(one.token)] = in_range(one.logprob);
    top[name_of(token.token)] = logprob;
  }
  words["tokens"].push_back(name_of(token.token));
  words["text_offset"].push_back(token.offset);
  words["token_logprobs"].push_back(std::move(logprob));
  words["top_logprobs"].push_back(std::move(top));
}

}  // namespace

struct LogprobWords::Words {
  bool of_chat = false;
  Json json = Json::object();
};

LogprobWords::LogprobWords(Endpoint endpoint) : words_(new Words{endpoint == Endpoint::chat}) {}
LogprobWords::~LogprobWords() = default;

void LogprobWords::add(const ScoredSpelling& token) {
  words_->of_chat ? add_to_content(token, words_->json) : add_to_lists(token, words_->json);
}

std::string LogprobWords::text() const {
  if (words_->json.empty()) return {};
  return words_->json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string prompt_logprobs_member(const std::vector<std::vector<RankedSpelling>>& places) {
  Json all = Json::array();
  for (const auto& place : places) {
    Json& told = all.emplace_back(nullptr);
    for (const RankedSpelling& one : place) {
      told[std::to_string(one.token)] = {
          {"logprob", in_range(one.logprob)}, {"rank", one.rank}, {"decoded_token", one.bytes}};
    }
  }
  return "\"prompt_logprobs\":" + all.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace spillway::local::answer
