// What is asked (ChatRequest) and what comes back piece by piece (Delta): the words every backend
// speaks.
//
// Plain values, no behaviour, no Asio, no JSON. A ChatRequest is immutable once parsed and shared
// (`std::shared_ptr<const ChatRequest>`) by everybody who works on the request, on any thread.
#pragma once

#include "backends/contract/need.h"
#include "backends/contract/tools.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spillway {

struct Form;

enum class Role { system, developer, user, assistant, tool };

struct Message {
  Role role = Role::user;
  std::string content;  // Text parts joined; what is not text is only in ChatRequest::body.
  std::string name;     // Optional participant name.
  bool text_only =
      true;  // False if a part is not text: such a message needs a target that takes it.
  std::vector<ToolCall> calls = {};  // Of an assistant's.
  std::string call_id = {};          // Of a tool's: the call that it answers.
  std::string reasoning = {};        // Of an assistant's: what it thought before.
};

// What is added to a token's logit.
struct TokenBias {
  std::int32_t token = 0;
  float by = 0.0f;  // [-100, 100]
};

// Field meanings and ranges are OpenAI's; top_k, min_p, repetition_penalty, min_tokens, ignore_eos,
// stop_token_ids, include_stop_str_in_output, skip_special_tokens and prompt_logprobs are vLLM's.
struct Sampling {
  double temperature = 1.0;         // 0 is greedy.
  double top_p = 1.0;               // (0, 1]
  int top_k = 0;                    // 0 = off
  double min_p = 0.0;               // [0, 1]
  double frequency_penalty = 0.0;   // [-2, 2]
  double presence_penalty = 0.0;    // [-2, 2]
  double repetition_penalty = 1.0;  // > 0
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;  // At most 4; not part of the returned text.
  std::optional<int> tokens_max;  // max_tokens or max_completion_tokens
  int tokens_min = 0;
  bool ignore_eos = false;
  std::vector<std::int32_t> stop_tokens = {};  // stop_token_ids: each ends the answer.
  bool keeps_stop = false;                     // What ends the answer is part of its text.
  bool shows_special = false;                  // Special tokens are text, too.
  std::vector<TokenBias> bias = {};            // logit_bias
  // Each token is told with its logprob, and so many of those that were likeliest in its place.
  std::optional<int> logprobs = {};
  bool scores_prompt = false;               // The same of the prompt's tokens. Requires: logprobs.
  std::optional<int> prompt_logprobs = {};  // Of the prompt's, so many; -1: the whole vocabulary.
  // Which of them the client left to the model.
  struct Unsaid {
    bool temperature = false;
    bool top_p = false;
    bool top_k = false;
    bool min_p = false;
    bool repetition_penalty = false;
  };
  Unsaid unsaid = {};
};

// What an answer goes on from: as text, or as tokens of the target's own.
struct WrittenPrompt {
  std::string text = {};
  std::vector<std::int32_t> tokens = {};
};

// What a client said where it was not in the words of `ChatRequest::endpoint`.
struct Original {
  std::string protocol;  // "messages", "responses"
  std::string body;      // Byte for byte: for a target that speaks it, too.
  std::string only;      // What of it chat completions cannot say: only such a target can answer.
  // Of its protocol, as the client names them: for a target that gets the body.
  std::string version = {};
  std::vector<std::string> betas = {};
};

struct ChatRequest {
  std::string model;  // As the client wrote it.
  std::vector<Message> messages;
  Sampling sampling;
  bool stream = false;
  bool include_usage = false;          // stream_options.include_usage
  std::string service_tier;            // Empty if not given.
  Endpoint endpoint = Endpoint::chat;  // What has to answer it.
  Need needs = Need::nothing;          // What a target must be able to do beside text for text.
  std::vector<FieldNeed> beyond;       // Of these, the fields that not everybody knows.
  std::vector<std::string> unknown;    // Fields of `body` that nobody here has heard of.
  std::vector<std::string> hints;      // What the client said that no target is told of.
  int choices = 1;                     // n, times the prompts.
  int drafts = 0;                      // Written for the best `choices` of them; 0: no more.
  int inputs = 0;                      // Of embeddings: how many there are to be.
  int search_units = 0;                // Of a ranking: what it may be billed as, at most.
  int media = 0;                       // Pictures, sounds and files in its messages.
  std::optional<int> searches = 0;     // In the web, at most; nothing: as many as it likes.
  int documents = 0;                   // Of these, plain texts, whose bytes are counted below.
  std::size_t beside_bytes = 0;        // Of tools, calls, reasoning, documents: read as texts are.
  std::size_t form_bytes = 0;          // Of a response_format: a prompt's part at most providers.
  std::size_t prompt_bytes = 0;        // What a provider may count; 0: the body.
  std::string unsent;                  // What it would fetch or look up itself; empty: nothing.
  bool has_tools = false;              // Or calls and results of earlier ones.
  int added_tokens = 0;                // What it adds to the prompt within a limit, in all.
  std::vector<std::string> other_models;  // That a provider is to ask besides, at their prices.
  bool store = false;                     // The answer is to be found again.
  // The JSON of a request to `endpoint`, the client's own byte for byte where it spoke this
  // protocol: what a provider's dialect forwards.
  std::string body;
  std::optional<Original> original;  // Empty where `body` is what the client said.
  // Of a completion: one or several, each with as many of the choices, in their order.
  std::vector<WrittenPrompt> prompts;
  // What the answer is held to (form.h); null: anything.
  std::shared_ptr<const Form> form;
  // What it may call; null: nothing, or nothing that is told of here (Need::tools).
  std::shared_ptr<const Tools> tools;
  // The answer as far as another target gave it before it broke off: to be gone on with, not to be
  // said again. `sampling.tokens_max` is then what is left.
  std::string begun;
  // `sampling.tokens_max` is ours, less than the client's: what the target is told in its place,
  // and `tokens_min` with it.
  bool cut_short = false;
  // The target is to answer in its cheaper tier, if it has room there.
  bool at_batch_rate = false;

  // Answers that are paid for.
  int answers() const { return std::max(choices, drafts); }
};

enum class FinishReason { stop, length, tool_calls, content_filter };

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;               // Part of prompt_tokens that a prefix cache supplied.
  int reasoning_tokens = 0;            // Part of completion_tokens.
  int cache_written_tokens = 0;        // Part of prompt_tokens that the target put into its cache,
  int cache_written_1h_tokens = 0;     // …and of these, those to be kept for an hour.
  int audio_prompt_tokens = 0;         // Part of prompt_tokens,
  int audio_completion_tokens = 0;     // …and of completion_tokens.
  int searches = 0;                    // In the web; of a ranking, the units that it is billed as.
  bool at_batch_rate = false;          // Served in the provider's cheaper tier,
  bool at_dearer_rate = false;         // …or in one, or by a model, that has another price.
  bool contradictory = false;          // A part is more than its whole: one of them is not right.
  bool unbilled = false;               // It asks nothing for this answer.
  std::int64_t charged_nano_usd = -1;  // What the provider says that it asks; -1: it does not say.
};

// What a provider says beside an answer and nobody here acts on: each the members of a JSON object
// without its braces, or empty.
struct Beside {
  std::string answer;              // system_fingerprint, citations…
  std::string choice;              // content_filter_results, stop_reason…
  std::string usage;               // prompt_cache_miss_tokens…
  std::string prompt_details;      // Of usage.prompt_tokens_details,
  std::string completion_details;  // …and of usage.completion_tokens_details.
};

struct LikelyToken {
  std::int32_t token = 0;
  float logprob = 0.0f;
};

// A token with the log of the probability that the model gave it, whatever was done to its logits
// before the draw.
struct ScoredToken {
  std::int32_t token = 0;
  std::optional<float> logprob = {};  // Nothing before it, nothing expected: a prompt's first.
  int rank = 0;                       // Among all, from 1; lower ids come first among equals.
  std::vector<LikelyToken> likeliest = {};  // In its place, the likeliest first.
  bool of_prompt = false;
};

// One piece of an answer. Every field may be empty; a stream ends after the Delta with `finish`
// (and `usage`, which comes with it or in a Delta of its own after it).
struct Delta {
  int choice = 0;
  std::string text;
  std::string reasoning;  // DeepSeek's reasoning_content
  std::string extra;  // A JSON object of further `delta` members (tool_calls, refusal…), or empty.
  std::string logprobs;             // The choice's `logprobs` as a JSON object, or empty.
  std::vector<ScoredToken> scored;  // The same from the engine, which knows tokens and no words.
  std::string object;  // The whole answer of an endpoint that does not converse: its JSON.
  int tokens = 0;      // Completion tokens this piece stands for; 0 if the backend cannot tell.
  int searches = 0;    // Begun with this piece, which nobody else tells of; -1: one has failed.
  // Of the local engine: its share of the steps since the piece before it, other choices apart.
  std::chrono::nanoseconds engine_time{};
  // By the tier that it names, where it names one: what Usage::at_batch_rate will be.
  std::optional<bool> at_batch_rate;
  std::optional<FinishReason> finish;
  std::string stopped_by;  // The stop sequence that ended it, where the target says so.
  std::optional<Usage> usage;
  // The target's own bytes, of this piece and what came before it, where it speaks the protocol
  // that the client spoke (ChatRequest::original).
  std::string original;
  std::shared_ptr<const Beside> beside;  // Null: nothing.
};

}  // namespace spillway
