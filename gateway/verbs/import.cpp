// `spillway import [litellm] FILE`: another gateway's configuration as one of ours, on stdout; what
// somebody must look at, on stderr.
#include "config/bounded_file.h"
#include "config/import_litellm.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/verbs.h"

#include <cstdio>
#include <string_view>

namespace spillway::verbs {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr std::string_view kLiteLlm = "litellm";

}  // namespace

int import(const Arguments& arguments) {
  Options options;
  options.words("[litellm] FILE", 2);
  if (!options.read(arguments, "spillway import")) return options.exit_status();
  const auto& words = options.words_given();
  const bool is_named = words.size() == 2 && words.front() == kLiteLlm;
  if (words.size() == 2 && !is_named) {
    std::fprintf(stderr, "spillway import: '%s' is not read: `spillway import litellm FILE`\n",
                 words.front().c_str());
    return kMisused;
  }
  if (!is_named && (words.size() != 1 || words.front() == kLiteLlm)) {
    std::fprintf(stderr, "spillway import: which file? `spillway import litellm FILE`\n");
    return kMisused;
  }
  auto bytes = config::read_bounded(words.back(), kFileBytesMax);
  if (const auto* unreadable = std::get_if<config::Unreadable>(&bytes)) {
    std::fprintf(stderr, "spillway import: cannot read %s: %s\n", words.back().c_str(),
                 unreadable->reason.c_str());
    return kMisused;
  }
  const config::Imported imported = config::import_litellm(std::get<std::string>(bytes));
  for (const config::Problem& problem : imported.problems)
    std::fprintf(stderr, "%s:%s\n", words.back().c_str(), config::to_string(problem).c_str());
  for (const std::string& sentence : imported.notes)
    std::fprintf(stderr, "look at %s\n", sentence.c_str());
  std::fputs(imported.yaml.c_str(), stdout);
  return imported.yaml.empty() ? kMisused : kDone;
}

}  // namespace spillway::verbs
