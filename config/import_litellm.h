// A LiteLLM proxy configuration as one of ours: what can be said here is, what cannot is told in
// comments. Pure; any thread.
#pragma once

#include "config/problem.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

struct Imported {
  std::string yaml;                // Empty if nothing could be made of it.
  std::vector<std::string> notes;  // What somebody must look at.
  std::vector<Problem> problems;
};

// `text` is the file with its model_list. Secrets become env:NAME; a key that stands in the file
// itself is never carried over. A price that the file does not give has to be looked up: until it
// is, `spillway check` refuses the target.
Imported import_litellm(std::string_view text);

}  // namespace spillway::config
