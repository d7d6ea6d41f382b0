// Between the request and the policy: what the router is told of a request. Any thread.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"
#include "gateway/account/limiter.h"
#include "gateway/fleet/edition.h"
#include "gateway/fleet/local_target.h"
#include "gateway/http/message.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"
#include "gateway/wire/attachments.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace spillway {

// The facts of a chat request, its prompt estimated until it is measured. Views point into the
// arguments. Fails where a header asks for something that cannot be read: what it promises would be
// lost.
Result<policy::RequestFacts> facts_of(const http::Request& raw, const policy::Caller& caller,
                                      const ChatRequest& request, account::Pool pool);

// Prompt tokens of a request that no local tokenizer reads: four bytes of text a token and four
// tokens a message, the rule of thumb of OpenAI's documentation for English text.
int estimated_prompt_tokens(const ChatRequest& request);

// Whether to measure it takes time: what limits say of its estimate is asked before.
bool is_long(const ChatRequest& request);

// As the local engine counts them, if it may be asked and can read them; else estimated, with the
// form that providers read beside them.
Async<int> prompt_tokens(const Edition& edition, LocalTarget* local,
                         std::shared_ptr<const ChatRequest> request, std::string tenant);

// As the engine counts them or estimated, the form apart; and what of them the local engine has
// read before for this tenant.
boost::asio::awaitable<void> measure(const Edition& edition, LocalTarget* local,
                                     std::shared_ptr<const ChatRequest> request, std::string tenant,
                                     policy::RequestFacts& facts);

// With the files that it names, which are measured, too: wire::with_files.
Async<std::shared_ptr<const ChatRequest>> with_files(std::shared_ptr<const ChatRequest> request,
                                                     const policy::Caller& caller,
                                                     wire::FileShelf& files,
                                                     policy::RequestFacts& facts);

// Whether the client left while that was done: what is asked for it from then on is paid in vain.
boost::asio::awaitable<bool> client_left();

// How long a stream may be silent before its client, or somebody between, takes it for dead.
std::chrono::milliseconds quiet_for(const std::optional<std::chrono::milliseconds>& silence_max,
                                    const config::Settings& settings);

// The client's own timeout, as the SDKs tell it; and forgotten, where it is none of the answer's.
std::optional<std::chrono::milliseconds> client_timeout(const http::Request& raw);
void forget_client_timeout(http::Request& raw);

// How long the request may take from its arrival: the class's deadline, the client's own timeout,
// the server's limit, whichever is shortest.
std::chrono::milliseconds time_for(const policy::Plan& plan);

}  // namespace spillway
