// `spillway rollout`: how a running gateway takes a new configuration over.
#include "gateway/verbs/admin_options.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/verbs.h"

#include <cstdio>
#include <optional>
#include <string>

namespace spillway::verbs {
namespace {

constexpr const char* kVerb = "spillway rollout";

int fail(const std::string& message, int status = kFailed) {
  std::fprintf(stderr, "%s: %s\n", kVerb, message.c_str());
  return status;
}

struct Question {
  std::string method;
  std::string path;
};

// Nothing: it is not a thing to do.
std::optional<Question> question_of(const Options& options) {
  const auto& words = options.words_given();
  if (words.size() != 1) return std::nullopt;
  if (words.front() == "show") return Question{"GET", "/rollout"};
  if (words.front() == "promote" || words.front() == "rollback")
    return Question{"POST", "/rollout/" + words.front()};
  const std::string force = options.has("--force") ? "?force=true" : "";
  if (words.front() == "reload") return Question{"POST", "/reload" + force};
  return std::nullopt;
}

}  // namespace

int rollout(const Arguments& arguments) {
  Options options;
  options.words("show | reload | promote | rollback", 1)
      .flag("--force", "reload: whatever its guard has against it");
  add_admin_options(options);
  if (!options.read(arguments, kVerb)) return options.exit_status();
  const auto question = question_of(options);
  if (!question) return fail("show, reload, promote or rollback? (try --help)", kMisused);
  const auto door = admin_door(options, kVerb);
  if (!door) return door.exit_status();
  const auto answer = remote::ask_admin(*door, question->method, question->path);
  if (!answer) return fail(answer.error().message);
  return print_answer(*door, *answer, kVerb);
}

}  // namespace spillway::verbs
