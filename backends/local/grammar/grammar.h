// Which token may come next in an answer that is held to a form: the form compiled for a model's
// vocabulary (Grammar), and where one answer stands in it (Matcher).
//
// A Grammar is immutable and shared by any number of answers on any threads; a Matcher belongs to
// one answer and is used by one thread at a time. A Matcher keeps its Grammar alive.
#pragma once

#include "backends/contract/error.h"
#include "backends/contract/form.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local::grammar {

// What the tokens of a model say.
struct Vocabulary {
  std::vector<std::string> bytes;     // By id; empty for those that have no text.
  std::vector<std::int32_t> end_ids;  // Those that end an answer.
};

// Token i may come if bit i % 32 of word i / 32 is set.
using Mask = std::span<const std::uint32_t>;
inline bool is_empty(Mask mask) {
  return std::all_of(mask.begin(), mask.end(), [](std::uint32_t word) { return word == 0; });
}

// All but the destructor may throw TooMuchWork (work_limit.h).
class Matcher {
 public:
  virtual ~Matcher() = default;

  // The tokens that can come now, the end of the answer among them where it may end; none if
  // nothing can. Valid until the next call.
  virtual Mask allowed() = 0;

  // Goes on by a token. False, and no change, if it was not allowed.
  virtual bool accept(std::int32_t token) = 0;

  // Goes on by text of whatever tokens. False if it does not fit; the matcher is of no use then.
  virtual bool accept(std::string_view text) = 0;
};

class Grammar {
 public:
  virtual ~Grammar() = default;

  virtual std::unique_ptr<Matcher> match() const = 0;

  // Memory it takes, about.
  virtual std::size_t bytes() const = 0;
};

class Compiler {
 public:
  virtual ~Compiler() = default;

  // Any thread. Returns when compiling can begin: what that takes is no form's time.
  virtual Result<void> get_ready() { return {}; }

  // Any thread. Takes milliseconds, for some forms seconds. invalid_request names
  // the request's field and what in it is wrong, not supported or too much.
  virtual Result<std::shared_ptr<const Grammar>> compile(const Form& form) = 0;

  // Ends what is being compiled, where that can be ended.
  virtual void stop() {}
};

// Compiles on the thread that asks, for as long as that takes. Reads the vocabulary when it first
// compiles. Null where the build has no xgrammar.
std::unique_ptr<Compiler> make_compiler(Vocabulary vocabulary);

// Whether the build has xgrammar.
bool is_built();

}  // namespace spillway::local::grammar
