// What a request has its provider do beside answering it: other models to be asked in its model's
// place or for a part of the work, finders whose words are read with the prompt, and what chooses
// either. The same in every protocol that is passed on. Pure.
#pragma once

#include "gateway/wire/fields.h"

#include <string>
#include <vector>

namespace spillway::wire {

struct AskedBesides {
  std::vector<std::string> models;  // Not the request's own; each as it was named.
  std::string unsent;               // What would be read that is not in the request, or empty.
  bool searches = false;            // In the web, nobody knows how often.
};

// OpenRouter's `models`, `plugins`, `preset` and `provider`, LiteLLM's and Anthropic's `fallbacks`,
// xAI's `search_parameters`, Qwen's `enable_search`, Groq's `compound_custom`, vLLM's
// `mm_processor_kwargs` and their like; not what is switched off or costs nothing. `own`: the
// request's model.
AskedBesides asked_besides(const Json& request, const std::string& own);

// Of a tool, or of one of those fields, the models that it names but `own`. `are_names`: strings in
// it are models, and so are those in an object by what they stand in for: LiteLLM's
// {"model": ["another"]}, Groq's {"answering_model": "another"}.
void collect_models(const Json& value, bool are_names, const std::string& own,
                    std::vector<std::string>& models);

}  // namespace spillway::wire
