// What can be said of conditions before any fact is known: for rules that can never be reached.
// Says yes only where it is sure; conditions of great length are not looked into. Pure.
#pragma once

#include "config/language/tree.h"

#include <optional>

namespace spillway::language {

// Always true, always false, or empty: it depends.
std::optional<bool> constant(const Tree& tree);

// Whenever `one` holds, `other` does.
bool implies(const Tree& one, const Tree& other);

// A text that a fact is compared with: class == 'batch'.
struct Compared {
  Fact fact = Fact::request_class;
  std::string text;
};
std::vector<Compared> texts_compared(const Tree& tree);

}  // namespace spillway::language
