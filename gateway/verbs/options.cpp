#include "gateway/verbs/options.h"

#include <cstdio>
#include <utility>

namespace spillway::verbs {

Options& Options::value(std::string name, std::string placeholder, std::string help) {
  known_.push_back(Known{std::move(name), std::move(placeholder), std::move(help)});
  return *this;
}

Options& Options::flag(std::string name, std::string help) {
  known_.push_back(Known{std::move(name), "", std::move(help)});
  return *this;
}

Options& Options::words(std::string placeholder, int count) {
  words_placeholder_ = std::move(placeholder);
  words_max_ = count;
  return *this;
}

Options& Options::fails_when(std::string sentence) {
  fails_when_ = std::move(sentence);
  return *this;
}

bool Options::read(const Arguments& arguments, const std::string& usage) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--help" || word == "-h") {
      print_help(usage);
      return false;
    }
    if (word.rfind("--", 0) != 0) {
      words_given_.push_back(word);
      continue;
    }
    const auto equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const Known* known = find(name);
    if (known == nullptr) return refuse(usage, "there is no option " + name);
    if (known->placeholder.empty()) {
      if (equals != std::string::npos) return refuse(usage, name + " takes no value");
      given_[name] = "";
    } else if (equals != std::string::npos) {
      given_[name] = word.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      given_[name] = arguments[++i];
    } else {
      return refuse(usage, name + " needs a value: " + name + " " + known->placeholder);
    }
  }
  if (static_cast<int>(words_given_.size()) > words_max_) {
    return refuse(usage, "'" + words_given_[words_max_] + "' is one word too many");
  }
  return true;
}

std::string Options::get(const std::string& name, std::string otherwise) const {
  const auto found = given_.find(name);
  return found == given_.end() ? std::move(otherwise) : found->second;
}

const Options::Known* Options::find(const std::string& name) const {
  for (const Known& known : known_) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

bool Options::refuse(const std::string& usage, const std::string& sentence) {
  std::fprintf(stderr, "%s: %s (try --help)\n", usage.c_str(), sentence.c_str());
  exit_status_ = kMisused;
  return false;
}

void Options::print_help(const std::string& usage) const {
  std::printf("Usage: %s [options] %s\n\n", usage.c_str(), words_placeholder_.c_str());
  for (const Known& known : known_) {
    const std::string left =
        known.name + (known.placeholder.empty() ? "" : " " + known.placeholder);
    std::printf("  %-28s %s\n", left.c_str(), known.help.c_str());
  }
  std::printf(
      "\nExit status: 0 done; 1 %s; 2 the command line is wrong, or a file that it names.\n",
      fails_when_.c_str());
}

}  // namespace spillway::verbs
