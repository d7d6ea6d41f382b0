// The price catalogue: what providers ask and how they answer, in a file of its own with a version
// and dates, so that prices change without the policy that uses them.
//
// A provider target that gives no price or measurements of its own takes the blocks that stand
// there under its name (or `catalogued_as`) and its model, before anything is read: they are
// checked by the same rows. Used by load.cpp alone.
#pragma once

#include "config/document.h"
#include "config/problem.h"

#include <string>
#include <vector>

namespace spillway::config {

struct Catalogued {
  std::string bytes;  // Of the catalogue; empty: there is none.
  std::vector<Problem> problems;
  std::vector<Problem> warnings;  // Prices that are over, or not in force yet.
};

// `root` is the configuration, read from `source`; what the catalogue has is added to its targets.
// `today` is a date: "2026-11-26".
Catalogued add_catalogue(Node& root, const std::string& source, const std::string& today);

}  // namespace spillway::config
