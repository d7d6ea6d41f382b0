// What the pipeline asks of the local engine beside being a Backend: how long a prompt is, and the
// state it predicts from. gateway.cpp puts the real engine behind it; without a local target there
// is none. Any worker thread.
#pragma once

#include "backends/contract/backend.h"
#include "backends/contract/status.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// Of all prompts of a request together, and of the longest.
struct PromptTokens {
  int all = 0;
  int longest = 0;
};

class LocalTarget {
 public:
  virtual ~LocalTarget() = default;

  virtual Backend& backend() = 0;

  // Exact prompt tokens; the tokens are kept for the engine, so that nothing is tokenised twice.
  // Long prompts are read on other threads than the worker's, tenant by tenant.
  virtual Async<PromptTokens> prompt_tokens(std::shared_ptr<const ChatRequest> request,
                                            std::string tenant) = 0;

  // Of these, what the engine has read before for this tenant and need not read again. 0 if it
  // cannot read the request. Requires: prompt_tokens were asked for.
  virtual int cached_tokens(const std::shared_ptr<const ChatRequest>& request,
                            std::string_view tenant) = 0;

  // What these tokens say; invalid_request if there is no such token.
  virtual Result<std::string> detokenize(const std::vector<std::int32_t>& tokens) const = 0;

  // As the engine will see the request's prompt, the first if there are several.
  virtual Async<std::vector<std::int32_t>> prompt(std::shared_ptr<const ChatRequest> request,
                                                  std::string tenant) = 0;

  virtual EngineStatus status() const = 0;
};

}  // namespace spillway
