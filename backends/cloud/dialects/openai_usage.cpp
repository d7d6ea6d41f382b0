#include "backends/cloud/dialects/openai_usage.h"

#include "backends/cloud/dialects/members.h"

#include <algorithm>

namespace spillway::cloud::openai {
namespace {

// The count `name` out of an object of details.
int count_in(std::string_view details, std::string_view name, std::string& others) {
  int count = 0;
  MemberReader reader(details);
  while (const auto member = reader.next()) {
    if (member->is(name)) {
      count = count_of(member->value);
    } else {
      append_member(*member, others);
    }
  }
  return count;
}

}  // namespace

std::optional<Usage> usage_of(std::string_view object, Beside& beside) {
  if (!object.starts_with('{')) return std::nullopt;
  Usage usage;
  int total = 0, cached = 0;
  MemberReader reader(object);
  while (const auto member = reader.next()) {
    if (member->is("prompt_tokens")) {
      usage.prompt_tokens = count_of(member->value);
    } else if (member->is("completion_tokens")) {
      usage.completion_tokens = count_of(member->value);
    } else if (member->is("total_tokens")) {
      total = count_of(member->value);
    } else if (member->is("prompt_tokens_details")) {
      cached = count_in(member->value, "cached_tokens", beside.prompt_details);
    } else if (member->is("completion_tokens_details")) {
      usage.reasoning_tokens =
          count_in(member->value, "reasoning_tokens", beside.completion_details);
    } else {
      // DeepSeek's name for OpenAI's prompt_tokens_details.cached_tokens.
      if (member->is("prompt_cache_hit_tokens")) usage.cached_tokens = count_of(member->value);
      append_member(*member, beside.usage);
    }
  }
  // Of what has no completion some tell the sum alone; Gemini's and xAI's endpoints tell thinking
  // only in the sum.
  if (usage.prompt_tokens == 0 && usage.completion_tokens == 0) {
    usage.prompt_tokens = total;
  } else {
    usage.completion_tokens = std::max(usage.completion_tokens, total - usage.prompt_tokens);
  }
  usage.cached_tokens = std::min(std::max(usage.cached_tokens, cached), usage.prompt_tokens);
  usage.reasoning_tokens = std::min(usage.reasoning_tokens, usage.completion_tokens);
  return usage;
}

}  // namespace spillway::cloud::openai
