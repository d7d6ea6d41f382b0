// What LiteLLM's configuration says of no single model: other names for models, and what of its
// settings has no counterpart here. Pure; any thread.
#pragma once

#include "config/document.h"

#include <map>
#include <string>
#include <vector>

namespace spillway::config {

// The other names under which clients may ask for a model, by its name
// (router_settings.model_group_alias).
std::map<std::string, std::vector<std::string>> litellm_aliases(const Node& root);

// A sentence for each key that is not taken over, and what there is instead: all of the file but
// its models, its master key, its budget and its aliases.
std::vector<std::string> litellm_left_out(const Node& root);

}  // namespace spillway::config
