// How the services that speak OpenAI's protocol differ: one row each.
//
// Pure data; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace spillway::cloud::openai {

struct Ways {
  std::string_view name;                                   // As in the configuration.
  std::string_view key_header = "Authorization: Bearer ";  // Before the key.
  std::string_view limit_field;  // What it calls the limit of tokens; empty: as the client does.
  // Fields that it takes beside OpenAI's, and fields of OpenAI's that it refuses.
  std::span<const std::string_view> adds;
  std::span<const std::string_view> lacks;
  std::string_view seed_field = "seed";
  // Where it does what is asked for by `prefix` and `suffix`, in place of the last part of
  // base_url; empty: nowhere else.
  std::string_view beta;
  bool prefix = false;       // Goes on with a last message that is marked as a `prefix`.
  bool developer = true;     // Knows the role of that name.
  bool reasoning = false;    // Wants the reasoning_content of earlier turns again.
  bool signs_calls = false;  // With an extra_content, which it wants again.
  bool tells_usage = false;  // In streams, too, without being asked.
};

// What a limit of tokens is called in a chat whose client names none. OpenAI's reasoning models
// refuse `max_tokens`; others who speak its protocol may not know the newer word.
std::string_view added_limit(const Ways& ways, std::string_view base_url);

// Whether the reasoning of earlier turns is told to it again: some who speak OpenAI's protocol lose
// their thread without, some refuse it.
bool wants_reasoning(const Ways& ways, std::string_view base_url);

// Whether it wants the extra_content of calls again: who has not written it refuses it.
bool wants_signatures(const Ways& ways, std::string_view base_url);

// All of them, in no order.
std::span<const Ways> all_ways();

// Where `path` ("chat/completions") of `model` is, behind `base_url`. With an `api_version` the
// model is a deployment in the path, as Azure has it.
std::string url_of(std::string_view base_url, std::string_view path, std::string_view model,
                   std::string_view api_version);

// The same for what is under `beta`.
std::string beta_url_of(std::string_view base_url, std::string_view beta, std::string_view path);

}  // namespace spillway::cloud::openai
