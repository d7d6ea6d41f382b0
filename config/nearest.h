// "Did you mean …?": the valid word nearest to what was written. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

// The candidate with the fewest edits (insert, delete, replace, swap of neighbours), or empty if
// even that one is further than a slip: more than a third of its letters, and never more than
// three. Failing that, one that holds the word or is held by it: sequences for sequences_max.
std::string nearest(std::string_view written, const std::vector<std::string>& candidates);

// ", did you mean `x`?" or, with nothing near, "; valid here: a, b, c".
std::string suggestion(std::string_view written, const std::vector<std::string>& candidates);

}  // namespace spillway::config
