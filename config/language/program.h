// A condition in the flat form that runs at every decision: instructions for a machine with a small
// stack. Immutable once compiled; evaluating allocates nothing and cannot fail. Any thread.
//
// Doubles follow IEEE: what is unknown is infinite, a division by zero, too; of what is not even
// that (infinite less infinite) every comparison but != is false.
#pragma once

#include "config/language/fact.h"
#include "config/language/tree.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace spillway::language {

// Who knows the values of facts. Called each time that an evaluation comes by one: the same fact
// has the same value until its end.
class FactSource {
 public:
  virtual double number(const FactRef& fact) const = 0;  // Of all types but text.
  virtual std::string_view text(const FactRef& fact) const = 0;

 protected:
  ~FactSource() = default;
};

enum class Code : std::uint8_t {
  number,  // Pushes numbers[arg], texts[arg], facts[arg].
  text,
  fact_number,
  fact_text,
  negate,  // Replaces the top,
  add,     // …or the upper two by what comes of them.
  subtract,
  multiply,
  divide,
  less,
  less_equal,
  greater,
  greater_equal,
  equal,
  not_equal,
  text_equal,
  text_not_equal,
  not_,
  in_numbers,  // Replaces the top: is it one of lists[arg]?
  in_texts,
  unless_jump,  // To instruction arg if the top is false, which stays; else the top goes.
  if_jump,
};

struct Instruction {
  Code code = Code::number;
  std::uint16_t arg = 0;
  bool operator==(const Instruction&) const = default;
};

struct Slice {
  std::uint16_t begin = 0, end = 0;
  bool operator==(const Slice&) const = default;
};

struct Program {
  std::vector<Instruction> code;  // Empty: always true.
  std::vector<double> numbers;
  std::vector<std::string> texts;
  std::vector<FactRef> facts;
  std::vector<Slice> lists;  // Of `numbers` or `texts`.
  bool operator==(const Program&) const = default;
};

Program compile(const Tree& tree);

bool holds(const Program& program, const FactSource& facts);

// parse() and compile().
std::variant<Program, Mistake> compile(std::string_view text, const Targets& targets);

}  // namespace spillway::language
