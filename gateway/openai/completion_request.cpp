#include "gateway/openai/completion_request.h"

#include "gateway/openai/beside.h"
#include "gateway/openai/form.h"
#include "gateway/openai/hosted.h"
#include "gateway/openai/sampling.h"
#include "gateway/openai/tools.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace spillway::openai {
namespace {

using wire::Fields;
using wire::Json;

constexpr int kChoicesMax = 128;
constexpr int kLogprobsMax = 5;
constexpr int kTokensUnasked = 16;  // OpenAI's.
constexpr std::size_t kPromptsMax = 2048;
constexpr std::size_t kEchoBytesMax = 32 << 20;

bool is_token(const Json& value) {
  return value.is_number_unsigned() &&
         value.get<std::uint64_t>() <= std::numeric_limits<std::int32_t>::max();
}

bool is_tokens(const Json& value) {
  return value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), is_token);
}

// One prompt or several: texts, or lists of token ids. How many there are.
int read_prompts(Fields& request, ChatRequest& chat) {
  const Json* prompt = request.any("prompt");
  if (prompt == nullptr) {
    request.fail_missing("prompt", "a string, a list of strings or of token ids");
    return 1;
  }
  const bool one = prompt->is_string() || is_tokens(*prompt);
  const Json list = one ? Json::array({*prompt}) : *prompt;
  const bool good = list.is_array() && !list.empty() && list.size() <= kPromptsMax &&
                    std::all_of(list.begin(), list.end(), [](const Json& each) {
                      return each.is_string() || is_tokens(each);
                    });
  if (!good) {
    request.fail("prompt", "must be a string, or a list of strings or of token ids, not empty");
    return 1;
  }
  for (const Json& each : list) {
    WrittenPrompt& written = chat.prompts.emplace_back();
    if (each.is_string()) {
      written.text = each.get<std::string>();
    } else {
      written.tokens = each.get<std::vector<std::int32_t>>();
    }
  }
  return static_cast<int>(list.size());
}

void read_needs(Fields& request, ChatRequest& chat, std::optional<Error>& error) {
  const int each = request.integer("n", 1, kChoicesMax).value_or(1);
  const auto asked_best_of = request.integer("best_of", 1, 20);
  if (asked_best_of && *asked_best_of < each) request.fail("best_of", "must not be less than n");
  const int best_of = asked_best_of.value_or(1);
  const int prompts = chat.choices;
  chat.choices *= each;
  chat.drafts = prompts * best_of;
  if (chat.choices > kChoicesMax) request.fail("n", "times the prompts must be at most 128");
  if (chat.choices > 1 || best_of > 1) chat.needs |= Need::choices;
  if (best_of > each) chat.needs |= Need::drafts;
  chat.sampling.logprobs = request.integer("logprobs", 0, kLogprobsMax);
  if (chat.sampling.logprobs) chat.needs |= Need::logprobs;
  if (!request.string("suffix").value_or("").empty()) chat.needs |= Need::infill;
  read_logit_bias(request, chat);
  read_stream_options(request, chat, error);
}

// Of providers, vLLM and SGLang hold a completion to it as to their own words for a form.
void read_format(Fields& request, ChatRequest& chat, std::optional<Error>& error) {
  if (read_response_format(request, error) == Need::nothing) return;
  chat.needs |= Need::guided;
  chat.beyond.push_back({"response_format", Need::guided});
}

// Texts are repeated here. Who alone counts their tokens, or knows what they say, must do it else,
// and nobody else says nothing of its own.
void read_echo(Fields& request, CompletionAsked& asked, ChatRequest& chat) {
  if (!request.boolean("echo").value_or(false)) return;
  const bool is_silent = chat.sampling.tokens_max == 0;
  const bool are_texts = std::all_of(chat.prompts.begin(), chat.prompts.end(),
                                     [](const WrittenPrompt& one) { return one.tokens.empty(); });
  if (is_silent || has(chat.needs, Need::logprobs) || !are_texts) {
    chat.needs |= Need::echo;
    chat.sampling.scores_prompt = chat.sampling.logprobs.has_value();
    return;
  }
  std::size_t bytes = 0;
  for (const WrittenPrompt& one : chat.prompts) bytes += one.text.size();
  const auto prompts = std::max<std::size_t>(1, chat.prompts.size());
  if (bytes * (static_cast<std::size_t>(chat.choices) / prompts) > kEchoBytesMax)
    return request.fail("echo", "would repeat more than 32 MiB: ask for fewer choices");
  for (const WrittenPrompt& one : chat.prompts) asked.echoes.push_back(one.text);
}

}  // namespace

Result<CompletionAsked> parse_completion(std::string body) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  Fields request(*json, "", error);
  CompletionAsked asked;
  auto chat = std::make_shared<ChatRequest>();
  chat->endpoint = Endpoint::completions;
  chat->model = request.model();
  chat->form_bytes = bytes_of_form(*json);
  chat->choices = read_prompts(request, *chat);
  const bool echoes = request.boolean("echo").value_or(false);
  chat->sampling = read_sampling(request, echoes ? 0 : 1);
  if (!chat->sampling.tokens_max) chat->sampling.tokens_max = kTokensUnasked;
  read_needs(request, *chat, error);
  read_besides(*json, *chat);
  read_prompt_logprobs(request, *chat);
  read_beyond(request, *chat);
  read_unknown(*json, *chat);
  read_form(request, body, *chat);  // Before others move its words away.
  read_format(request, *chat, error);
  read_echo(request, asked, *chat);
  chat->service_tier = request.string("service_tier").value_or("");
  request.string("user");
  if (error) return *error;
  chat->body = std::move(body);
  asked.request = std::move(chat);
  return asked;
}

}  // namespace spillway::openai
