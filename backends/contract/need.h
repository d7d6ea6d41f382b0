// What a request asks of a target: which endpoint answers it, and what beside text for text it
// takes. Plain values.
#pragma once

#include <array>
#include <string_view>
#include <utility>

namespace spillway {

enum class Endpoint { chat, completions, embeddings, moderations, rerank };

// As in the configuration and behind /v1/ (chat: "chat/completions"); static storage.
constexpr std::string_view name_of(Endpoint endpoint) {
  constexpr std::array<std::string_view, 5> kNames = {"chat", "completions", "embeddings",
                                                      "moderations", "rerank"};
  return kNames[static_cast<std::size_t>(endpoint)];
}

// Whether it answers with text that a model writes.
constexpr bool writes(Endpoint endpoint) {
  return endpoint == Endpoint::chat || endpoint == Endpoint::completions;
}

// A set: one bit each.
enum class Need : unsigned {
  nothing = 0,
  tools = 1,
  formats = 2,  // response_format
  images = 4,
  audio = 8,
  files = 16,  // And parts of messages that nobody here knows.
  logprobs = 32,
  logit_bias = 64,
  choices = 128,    // More than one.
  echo = 256,       // The prompt with the answer, told by who counts its tokens.
  infill = 512,     // A completion with a suffix.
  guided = 1024,    // An answer of a given shape, in vLLM's or SGLang's words.
  sampling = 2048,  // vLLM's ways to draw a token, or to go on.
  search = 4096,    // Looking things up in the web.
  prefix = 8192,    // Going on with the last message, which is the answer's beginning.
  thinking = 16384,
  server = 32768,       // What vLLM and SGLang alone know: chat templates, beams, banned words.
  moderation = 131072,  // Of the answer, on the way.
  drafts = 65536,  // The best choices of more: who takes choices at all takes these, but for the
                   // local engine.
};

constexpr Need operator|(Need a, Need b) {
  return static_cast<Need>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr Need& operator|=(Need& a, Need b) { return a = a | b; }
constexpr bool has(Need set, Need one) {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}
constexpr Need without(Need set, Need some) {
  return static_cast<Need>(static_cast<unsigned>(set) & ~static_cast<unsigned>(some));
}

// Each with its name in the configuration and the field of a request that asks for it.
struct NeedWords {
  Need need;
  std::string_view name;
  std::string_view field;
};

inline constexpr std::array<NeedWords, 17> kNeeds = {
    {{Need::tools, "tools", "tools"},
     {Need::formats, "formats", "response_format"},
     {Need::images, "images", "messages"},
     {Need::audio, "audio", "messages"},
     {Need::files, "files", "messages"},
     {Need::logprobs, "logprobs", "logprobs"},
     {Need::logit_bias, "logit_bias", "logit_bias"},
     {Need::choices, "choices", "n"},
     {Need::echo, "echo", "echo"},
     {Need::infill, "infill", "suffix"},
     {Need::guided, "guided", "guided_json"},
     {Need::sampling, "sampling", "top_k"},
     {Need::search, "search", "web_search_options"},
     {Need::prefix, "prefix", "messages"},
     {Need::thinking, "thinking", "thinking"},
     {Need::moderation, "moderation", "moderation"},
     {Need::server, "server", "chat_template_kwargs"}}};

// A field that not all who speak OpenAI's protocol know, and what asking by it asks for.
struct FieldNeed {
  std::string_view field;
  Need need;
};

inline constexpr std::array<FieldNeed, 43> kFieldNeeds = {{
    {"guided_choice", Need::guided},
    {"guided_grammar", Need::guided},
    {"guided_json", Need::guided},
    {"guided_regex", Need::guided},
    {"structured_outputs", Need::guided},
    {"ebnf", Need::guided},
    {"regex", Need::guided},
    {"ignore_eos", Need::sampling},
    {"include_stop_str_in_output", Need::sampling},
    {"min_p", Need::sampling},
    {"min_tokens", Need::sampling},
    {"prompt_logprobs", Need::sampling},
    {"repetition_penalty", Need::sampling},
    {"skip_special_tokens", Need::sampling},
    {"stop_token_ids", Need::sampling},
    {"top_k", Need::sampling},
    {"moderation", Need::moderation},
    {"thinking", Need::thinking},
    {"web_search_options", Need::search},
    {"add_generation_prompt", Need::server},
    {"allowed_token_ids", Need::server},
    {"bad_words", Need::server},
    {"best_of", Need::server},  // Of a chat; completions know it.
    {"chat_template", Need::server},
    {"chat_template_kwargs", Need::server},
    {"continue_final_message", Need::server},
    {"custom_logit_processor", Need::server},
    {"documents", Need::server},
    {"echo", Need::server},  // Of a chat; completions know it.
    {"include_reasoning", Need::server},
    {"length_penalty", Need::server},
    {"logits_processors", Need::server},
    {"lora_path", Need::server},
    {"mm_processor_kwargs", Need::server},
    {"no_stop_trim", Need::server},
    {"return_hidden_states", Need::server},
    {"return_token_ids", Need::server},
    {"return_tokens_as_token_ids", Need::server},
    {"separate_reasoning", Need::server},
    {"spaces_between_special_tokens", Need::server},
    {"thinking_token_budget", Need::server},
    {"truncate_prompt_tokens", Need::server},
    {"use_beam_search", Need::server},
}};

}  // namespace spillway
