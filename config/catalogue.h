// The price catalogue: what providers ask and how they answer, in a file of its own with a version
// and dates, so that prices change without the policy that uses them.
//
// A provider target that gives no price or measurements of its own takes the blocks that stand
// there under its name (or `catalogued_as`) and its model, before anything is read: they are
// checked by the same rows. Used by load.cpp alone.
#pragma once

#include "config/bounded_file.h"
#include "config/document.h"
#include "config/problem.h"

#include <set>
#include <string>
#include <vector>

namespace spillway::config {

struct Catalogued {
  std::string file;             // As the configuration names it; empty: there is none.
  std::string bytes;            // Empty, too, where it cannot be read.
  std::set<std::string> taken;  // Paths of what targets have from it.
  std::vector<Problem> problems;
  std::vector<Problem> warnings;  // Prices that are over, or not in force yet.
};

// `root` is the configuration, read from `source`; what the catalogue has is added to its targets.
// `today` is a date: "2026-11-26". The catalogue is noted among the `files`.
Catalogued add_catalogue(Node& root, const std::string& source, const std::string& today,
                         FilesRead& files);

// Names the catalogue in problems with what was taken from it, which are found where the targets
// stand.
void name_catalogue(std::vector<Problem>& problems, const Catalogued& catalogued);

}  // namespace spillway::config
