// Something wrong, or doubtful, in a configuration file, and where.
#pragma once

#include <string>

namespace spillway::config {

struct Problem {
  int line = 0;  // From 1; 0: about the file as a whole.
  int column = 0;
  std::string path;     // Dotted, e.g. "targets.local.threads"; empty: the file as a whole.
  std::string message;  // A sentence that says what to write instead. Never holds a secret.
};

// "12:5: targets.local.threads: 'four' is not a whole number".
std::string to_string(const Problem& problem);

}  // namespace spillway::config
