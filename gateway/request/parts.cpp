#include "gateway/request/parts.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace spillway {
namespace {

constexpr int kTokensMax = 10'000'000;  // No answer and no prompt has more.
constexpr int kSearchesMax = 100'000;
constexpr std::chrono::nanoseconds kEngineTimeMax = std::chrono::hours(24);
// Streamed sound is PCM of 16 bits at 24 kHz in base64, and OpenAI counts 20 tokens a second.
constexpr std::size_t kSoundBytesPerToken = 3'200;
constexpr std::size_t kSoundWeight = 4;                                // As if it were text.
constexpr std::size_t kBytesPerPieceMin = 2, kBytesPerPieceMost = 16;  // Of a token each.

bool is_plausible(const Usage& usage) {
  const auto within = [](int tokens) { return tokens >= 0 && tokens <= kTokensMax; };
  return within(usage.prompt_tokens) && within(usage.completion_tokens) &&
         within(usage.cached_tokens) && within(usage.reasoning_tokens) &&
         within(usage.cache_written_tokens) && usage.searches >= 0 &&
         usage.searches <= kSearchesMax;
}

// What follows `"name": "` up to the quotation mark that ends it, each time that it is there.
std::size_t bytes_of_texts(std::string_view json, std::string_view name) {
  std::size_t bytes = 0;
  const std::string quoted = '"' + std::string(name) + '"';
  for (auto at = json.find(quoted); at != json.npos; at = json.find(quoted, at)) {
    at = json.find_first_not_of(" :", at + quoted.size());
    if (at == json.npos || json[at] != '"') continue;
    const std::size_t begin = ++at;
    while (at < json.size() && json[at] != '"') at += json[at] == '\\' ? 2 : 1;
    bytes += std::min(at, json.size()) - begin;
  }
  return bytes;
}

// Of further members of a delta, what a model has written: not the words of JSON around it, and
// nothing that only tells of it, such as citations.
std::size_t written_in(std::string_view extra) {
  if (extra.empty()) return 0;
  std::size_t bytes = 0;
  for (const std::string_view name : {"arguments", "input", "name", "refusal", "transcript"})
    bytes += bytes_of_texts(extra, name);
  const bool is_sound = extra.find("\"audio\"") != extra.npos;
  return bytes +
         (is_sound ? bytes_of_texts(extra, "data") * kSoundWeight / kSoundBytesPerToken : 0);
}

void take_searches(Part& part) {
  part.usage.searches = std::max(part.searches_told, part.searches);
}

Echo echo_of(const WrittenPrompt& prompt, bool streams) {
  if (prompt.tokens.empty()) return {prompt.text.size()};
  const auto each = streams ? static_cast<double>(kBytesPerTokenMost) : policy::kBytesPerToken;
  return {static_cast<std::size_t>(static_cast<double>(prompt.tokens.size()) * each), true};
}

// Of the piece's text. What tokens say comes in one piece.
std::size_t echoed_in(const Delta& delta, Part& part) {
  const auto choice = static_cast<std::size_t>(delta.choice);
  if (delta.text.empty() || delta.choice < 0 || choice >= part.echoes.size()) return 0;
  Echo& echo = part.echoes[choice];
  const std::size_t bytes = std::min(echo.bytes, delta.text.size());
  echo.bytes = echo.is_of_tokens ? 0 : echo.bytes - bytes;
  return bytes;
}

double by_bytes(std::size_t bytes, const Part& part) {
  return std::min<double>(static_cast<double>(bytes) / part.bytes_per_token, kTokensMax);
}

// What passed of an answer.
struct Passed {
  int pieces = 0;   // Each a token at least.
  int letters = 0;  // Beside these, one by one,
  int words = 0;    // …in so many runs.
  std::size_t bytes = 0;
};

Passed all_of(const Part& part) {
  return {part.pieces - part.letters, part.letters, part.words, part.bytes};
}

Passed since_told(const Part& part) {
  const int letters = part.letters - part.letters_told;
  return {part.pieces - part.pieces_told - letters, letters, part.words - part.words_told,
          part.bytes - part.bytes_told};
}

int fewest_in(const Passed& passed) {
  const auto packed = std::min<std::size_t>(passed.bytes / kBytesPerTokenMost, kTokensMax);
  const int spelled = passed.letters / static_cast<int>(kBytesPerTokenMost);
  return std::max(passed.pieces + std::max(passed.words, spelled), static_cast<int>(packed));
}

int by_pieces(const Passed& passed, const Part& part) {
  const double spelled = by_bytes(static_cast<std::size_t>(passed.letters), part);
  return passed.pieces + std::max(passed.words, static_cast<int>(std::ceil(spelled)));
}

// The likeliest count.
int tokens_in(const Passed& passed, const Part& part) {
  const int by_length = static_cast<int>(std::ceil(by_bytes(passed.bytes, part)));
  return std::max(by_pieces(passed, part), by_length);
}

bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

// What a tokenizer may have put into a word; digits, marks and spaces are often tokens of their
// own. 0: it is no letter alone.
char letter_of(const Delta& delta, std::string_view text) {
  const bool is_one = text.size() + delta.reasoning.size() == 1 && delta.extra.empty();
  if (!is_one) return 0;
  const char c = text.empty() ? delta.reasoning.front() : text.front();
  return is_capital(c) || (c >= 'a' && c <= 'z') ? c : '\0';
}

void count_piece(const Delta& delta, std::string_view text, Part& part) {
  if (text.empty() && delta.reasoning.empty() && delta.extra.empty()) return;
  ++part.pieces;
  const char letter = letter_of(delta, text);
  const bool spells = letter != 0;
  const bool begins = spells && (part.spelling != delta.choice || is_capital(letter));
  part.letters += spells ? 1 : 0;
  part.words += begins ? 1 : 0;
  part.spelling = spells ? std::optional<int>(delta.choice) : std::nullopt;
}

}  // namespace

void begin(const ChatRequest& asked, Part& part) {
  part.unended = asked.choices;
  const auto& each = asked.sampling.tokens_max;
  if (each) {
    const std::int64_t all = std::int64_t{*each} * asked.answers();
    part.tokens_max = static_cast<int>(std::clamp<std::int64_t>(all, 0, kTokensMax));
  }
  if (!has(asked.needs, Need::echo) || asked.prompts.empty()) return;
  const int each_prompts = std::max(1, asked.choices / static_cast<int>(asked.prompts.size()));
  for (const WrittenPrompt& prompt : asked.prompts)
    part.echoes.insert(part.echoes.end(), static_cast<std::size_t>(each_prompts),
                       echo_of(prompt, asked.stream));
}

void bill(const Usage& usage, Part& part) {
  const bool tells_tokens = usage.prompt_tokens + usage.completion_tokens > 0;
  if (!is_plausible(usage) || (!tells_tokens && usage.searches == 0)) return;
  if (tells_tokens) part.usage = usage;
  part.searches_told = usage.searches;
  take_searches(part);
  if (!tells_tokens) return;
  part.usage_told = true;
  part.completion_told = usage.completion_tokens;
  part.bytes_told = part.bytes;
  part.pieces_told = part.pieces;
  part.letters_told = part.letters;
  part.words_told = part.words;
}

void count(const Delta& delta, Part& part) {
  const std::string_view text = std::string_view(delta.text).substr(echoed_in(delta, part));
  count_piece(delta, text, part);
  part.bytes += text.size() + delta.reasoning.size() + written_in(delta.extra);
  part.tokens = std::min(kTokensMax, part.tokens + std::clamp(delta.tokens, 0, kTokensMax));
  const auto time = std::clamp(delta.engine_time, std::chrono::nanoseconds(0), kEngineTimeMax);
  part.engine_time = std::min(kEngineTimeMax, part.engine_time + time);
  part.searches = std::clamp(part.searches + delta.searches, 0, kSearchesMax);
  take_searches(part);
  if (delta.at_batch_rate) part.usage.at_batch_rate = *delta.at_batch_rate;
  if (delta.usage) bill(*delta.usage, part);
  if (delta.finish) part.finished = true;
  if (delta.finish) --part.unended;
  if (!part.usage_told) part.usage.completion_tokens = part.tokens;
}

int tokens_passed(const Part& part) {
  return part.tokens > 0 ? part.tokens : by_pieces(all_of(part), part);
}

int tokens_at_least(const Part& part) {
  if (part.tokens > 0) return part.tokens;
  const int all = fewest_in(all_of(part));
  if (part.pieces_told == 0) return all;
  return std::max(all, part.completion_told + fewest_in(since_told(part)));
}

int tokens_if_cut(const Part& part) {
  if (part.tokens > 0) return part.tokens;
  const int after_told =
      part.pieces_told > 0 ? part.completion_told + by_pieces(since_told(part), part) : 0;
  return std::max({tokens_at_least(part), tokens_passed(part), after_told});
}

bool is_told_so_far(const Part& part) {
  return part.usage_told && part.completion_told > 0 && part.pieces > 0 &&
         part.pieces == part.pieces_told;
}

void settle(Part& part) {
  const bool all_told = part.usage_told && part.pieces == part.pieces_told &&
                        (part.completion_told > 0 || part.pieces == 0);
  if (part.local || (all_told && part.finished)) return;
  // Who tells none beside words has told nothing; and what is told before the first word may have
  // counted that word.
  const bool told = part.completion_told > 0;
  const int before = told && part.pieces_told > 0 ? part.completion_told : 0;
  const int since = tokens_in(told ? since_told(part) : all_of(part), part);
  const int limit = part.tokens_max.value_or(kTokensMax);
  const int most = tokens_at_least(part) <= limit ? limit : kTokensMax;
  const int passed = part.cut ? tokens_if_cut(part) : std::min({kTokensMax, before + since, most});
  const bool goes_on = !part.finished && part.pieces > part.pieces_told;
  part.estimated = !part.usage_told || passed > part.completion_told || goes_on;
  part.usage.completion_tokens = std::max(passed, part.usage.completion_tokens);
}

bool tells_density(const Part& part) {
  const Usage& usage = part.usage;
  const bool is_seen = usage.reasoning_tokens == 0 && usage.audio_completion_tokens == 0;
  // Fewer bytes a token than any text has: some were thought, and not shown.
  const bool is_text = part.bytes >= kBytesPerPieceMin * static_cast<std::size_t>(
                                                             std::max(0, usage.completion_tokens));
  return part.finished && part.usage_told && !part.estimated && is_seen && is_text &&
         usage.completion_tokens > 0;
}

// Where a target broke off without a count, others go on from what they are told, so that the sum
// is the answer's: a token a piece, unless the pieces are so long that they must be several.
int delivered_tokens(const Part& part) {
  const bool counted = !part.estimated || !part.broken;
  const bool are_long = part.bytes > kBytesPerPieceMost * static_cast<std::size_t>(part.pieces);
  const int tokens = counted || are_long ? part.usage.completion_tokens : tokens_passed(part);
  return std::max(0, tokens - part.repeated_tokens);
}

int tokens_of(const std::vector<Part>& parts) {
  std::int64_t tokens = 0;
  for (const Part& part : parts)
    tokens += part.usage.prompt_tokens + part.usage.completion_tokens - part.supposed_tokens;
  return static_cast<int>(std::min<std::int64_t>(tokens, kTokensMax));
}

Usage answer_of(const std::vector<Part>& parts) {
  Usage answer;
  if (parts.empty()) return answer;
  const auto got = std::find_if(parts.begin(), parts.end(), [](const Part& p) { return !p.lost; });
  const Usage& first = (got == parts.end() ? parts.front() : *got).usage;
  answer.prompt_tokens = first.prompt_tokens;
  answer.cached_tokens = first.cached_tokens;
  answer.cache_written_tokens = first.cache_written_tokens;
  for (const Part& part : parts) {
    if (part.lost) continue;
    answer.completion_tokens += delivered_tokens(part);
    answer.reasoning_tokens += part.usage.reasoning_tokens;
  }
  return answer;
}

}  // namespace spillway
