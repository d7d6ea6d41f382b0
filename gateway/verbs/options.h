// `--name value` options of a verb: what is known is declared first, everything else is refused
// with a sentence.
#pragma once

#include "gateway/verbs/verbs.h"

#include <map>
#include <string>
#include <vector>

namespace spillway::verbs {

class Options {
 public:
  // Declares an option with a value, or a flag without one. `help` is one line.
  Options& value(std::string name, std::string placeholder, std::string help);
  Options& flag(std::string name, std::string help);
  // Words without dashes that the verb takes, e.g. "FILE"; at most `count` of them.
  Options& words(std::string placeholder, int count);

  // When the verb exits with 1, for its help.
  Options& fails_when(std::string sentence);

  // Reads the arguments. Prints help (--help) or the mistake and returns false when the verb should
  // not run; then `exit_status` is kDone or kMisused. `usage` begins the help: "spillway serve".
  bool read(const Arguments& arguments, const std::string& usage);
  int exit_status() const { return exit_status_; }

  bool has(const std::string& name) const { return given_.count(name) != 0; }
  std::string get(const std::string& name, std::string otherwise = "") const;
  const std::vector<std::string>& words_given() const { return words_given_; }

 private:
  struct Known {
    std::string name;
    std::string placeholder;  // Empty: a flag.
    std::string help;
  };

  const Known* find(const std::string& name) const;
  bool refuse(const std::string& usage, const std::string& sentence);
  void print_help(const std::string& usage) const;

  std::vector<Known> known_;
  std::string words_placeholder_;
  std::string fails_when_ = "it could not be done";
  int words_max_ = 0;
  std::map<std::string, std::string> given_;
  std::vector<std::string> words_given_;
  int exit_status_ = kDone;
};

}  // namespace spillway::verbs
