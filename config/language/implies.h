// What can be said of conditions before any fact is known: for rules that can never be reached.
// Says yes only where it is sure; conditions of great length are not looked into. Pure.
#pragma once

#include "config/language/tree.h"

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace spillway::language {

// Always true, always false, or empty: it depends.
std::optional<bool> constant(const Tree& tree);

// The values of a fact for which a comparison holds: from one end to the other, which belong to it
// or not.
struct Range {
  FactRef fact;
  double low = 0.0, high = std::numeric_limits<double>::infinity();
  bool with_low = true, with_high = true;

  bool empty() const { return low > high || (low == high && !(with_low && with_high)); }
  bool within(const Range& other) const;
};

// The texts of `fact == 'a'` or `fact in ['a', 'b']`; `not_` those of `fact != 'a'`.
struct Choice {
  FactRef fact;
  std::vector<std::string> texts;
  bool not_ = false;
};

// A condition made ready to be held against many others.
class Outline {
 public:
  explicit Outline(Tree tree);

  // Whenever this holds, `other` does. Costs the product of their lengths at most; every step is
  // taken from `steps_left`, and once they are spent nothing is sure any more.
  bool implies(const Outline& other, std::size_t& steps_left) const;
  bool implies(const Outline& other) const;

 private:
  struct Part {
    std::string canonical;
    std::optional<Range> range;
    std::optional<Choice> choice;
  };

  class Proof;

  Tree tree_;
  std::vector<Part> parts_;  // By node; empty: too long to look into.
};

// Every text that a fact is compared with: class == 'batch'.
std::vector<Choice> choices(const Tree& tree);

// A comparison of a fact that all of its values meet, or none.
struct Idle {
  FactRef fact;
  bool always = false;
};
std::vector<Idle> idle_comparisons(const Tree& tree);

}  // namespace spillway::language
