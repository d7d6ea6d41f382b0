#include "gateway/openai/chat_request.h"

#include "gateway/openai/beside.h"
#include "gateway/openai/callable.h"
#include "gateway/openai/form.h"
#include "gateway/openai/hosted.h"
#include "gateway/openai/messages.h"
#include "gateway/openai/sampling.h"
#include "gateway/openai/tools.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace spillway::openai {
namespace {

using wire::Fields;
using wire::Json;

constexpr int kChoicesMax = 128;
constexpr int kDraftsMax = 20;
constexpr std::size_t kIdentifierMax = 64;

void read_logprobs(Fields& request, ChatRequest& chat) {
  const bool wanted = request.boolean("logprobs").value_or(false);
  const auto top = request.integer("top_logprobs", 0, 20);
  if (top && !wanted) request.fail("top_logprobs", "is allowed only with 'logprobs': true");
  if (!wanted) return;
  chat.needs |= Need::logprobs;
  chat.sampling.logprobs = top.value_or(0);
}

// Words and audio come back from few.
void read_modalities(Fields& request, Need& needs) {
  const Json* modalities = request.array("modalities", 8);
  for (std::size_t i = 0; modalities != nullptr && i < modalities->size(); ++i) {
    const Json& one = (*modalities)[i];
    if (one == "audio") needs |= Need::audio;
    if (one != "audio" && one != "text")
      request.fail(Fields::element_name("modalities", i), "must be 'text' or 'audio'");
  }
}

void read_needs(Fields& request, ChatRequest& chat, std::optional<Error>& error) {
  read_tools(request, chat, error);
  chat.choices = request.integer("n", 1, kChoicesMax).value_or(1);
  chat.drafts = request.integer("best_of", 1, kDraftsMax).value_or(0);
  if (chat.choices > 1) chat.needs |= Need::choices;
  read_logprobs(request, chat);
  read_modalities(request, chat.needs);
  read_logit_bias(request, chat);
}

// Fields that no code here acts on are still checked, so that a request fails the same way on every
// target.
void check_the_rest(Fields& request) {
  request.metadata();
  request.one_of("reasoning_effort", {"none", "minimal", "low", "medium", "high", "xhigh", "max"});
  request.one_of("verbosity", {"low", "medium", "high"});
  request.string("user");
  request.string("prompt_cache_key");
  request.one_of("prompt_cache_retention", {"in_memory", "24h"});
  request.string("safety_identifier", kIdentifierMax);
}

}  // namespace

Result<std::shared_ptr<const ChatRequest>> parse_chat(std::string body) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  Fields request(*json, "", error);
  auto chat = std::make_shared<ChatRequest>();
  chat->model = request.model();
  chat->beside_bytes = bytes_beside_texts(*json);
  chat->form_bytes = bytes_of_form(*json);
  read_messages(request, *chat, error);
  chat->sampling = read_sampling(request);
  read_stream_options(request, *chat, error);
  chat->service_tier = request
                           .one_of("service_tier", {"auto", "default", "flex", "scale", "priority",
                                                    "fast", "ultrafast"})
                           .value_or("");
  read_form(request, body, *chat);  // Before others move its words away.
  read_callable(request, body, *chat);
  read_needs(request, *chat, error);
  read_besides(*json, *chat);
  read_prompt_logprobs(request, *chat);
  read_beyond(request, *chat);
  read_unknown(*json, *chat);
  chat->store = request.boolean("store").value_or(false);
  check_the_rest(request);
  if (error) return *error;
  chat->body = std::move(body);
  return std::shared_ptr<const ChatRequest>(std::move(chat));
}

}  // namespace spillway::openai
