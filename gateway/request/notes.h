// What each stage writes into the receipt, so that the pipeline reads as stages and not as
// bookkeeping. On the request's coroutine; nothing here can fail.
#pragma once

#include "backends/contract/chat.h"
#include "config/settings.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/rule_facts.h"
#include "gateway/request/dispatch.h"
#include "gateway/request/receipt.h"

namespace spillway {

Receipt open_receipt(const http::Request& raw);

void note(const policy::Caller& caller, Receipt& receipt);
void note(const ChatRequest& request, Receipt& receipt);
void note(const policy::Plan& plan, const policy::RequestFacts& facts,
          const policy::FleetFacts& fleet, Receipt& receipt);
void note(const policy::RuleReport& rules, Receipt& receipt);

// Nobody takes it: why, and who was considered.
void note(const Error& refusal, const policy::RuleReport& report, Receipt& receipt);

void note_local_price(const config::Settings& settings, const EngineStatus& engine,
                      const policy::RequestFacts& facts, Receipt& receipt);

// A target was asked that and is to be paid, whatever it gave.
Part& add_part(const policy::Candidate& asked, const ChatRequest& request, Receipt& receipt);

// A target begins to answer that, or goes on where another broke off.
void note(const Opened& opened, const ChatRequest& request, Receipt& receipt);

// A candidate was asked; what it failed with, if it did.
void note(const Approach& approach, const std::optional<Error>& failure, Receipt& receipt);

// No more comes: what the client got, whoever gave it.
void add_up(Receipt& receipt);

// The headers of every answer, errors too: openai-processing-ms, -version, -organization. Nothing
// once a head is out, here and below.
void describe_serving(const Receipt& receipt, http::ResponseWriter& out);

// The same and the headers by which a client sees where its answer came from and why:
// x-spillway-target, -reason, -class, -rule where one decided, and -budget-warning near the end of
// a budget.
void describe(const Receipt& receipt, http::ResponseWriter& out);

// The length of a whole answer, to be learnt from: never more than has passed, whatever is told.
int tokens_seen(const Receipt& receipt);

}  // namespace spillway
