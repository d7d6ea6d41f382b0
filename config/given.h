// Facts that are given: `queue.tokens: 90000, predicted_ttft(local): 2s`, in a policy's tests or on
// the command line. Names and types are checked by the language's table; what could never be is
// refused. Pure; any thread.
#pragma once

#include "config/document.h"
#include "config/language/token.h"
#include "config/reader.h"
#include "config/settings.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

struct GivenFacts {
  std::vector<GivenFact> facts;
  std::vector<Problem> problems;
};

// The entries of a block, without its braces.
GivenFacts parse_given(std::string_view text, const Settings& settings);

// The same from a block of a file. Requires: all but rules and tests is in `settings`.
void read_given(const Node& node, const std::string& path, const Settings& settings,
                std::vector<GivenFact>& given, Reader& reader);

// The targets as facts name them; in the order of Settings::providers.
language::Targets fact_targets(const Settings& settings);

// Reports a mistake inside a scalar: at its exact column where that can be told.
void report_mistake(const language::Mistake& mistake, const Node& node, const std::string& path,
                    Reader& reader);

}  // namespace spillway::config
