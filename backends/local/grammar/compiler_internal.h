// What compiles forms in this process: xgrammar, and what stands before and behind it.
#pragma once

#include "backends/local/grammar/matcher_internal.h"

#include <xgrammar/xgrammar.h>

namespace spillway::local::grammar {

xgrammar::TokenizerInfo tokens_of(const Vocabulary& vocabulary);

// Tokens with control characters that no text of JSON may have: xgrammar lets them into those of a
// given length. Line ends stand between JSON's tokens.
std::shared_ptr<const Bits> no_json_of(const std::vector<std::string>& tokens);

struct Made {
  xgrammar::CompiledGrammar grammar;
  bool is_json = false;  // No token of no_json_of may come.
};

// Any thread.
class Maker {
 public:
  explicit Maker(const Vocabulary& vocabulary);

  // As Compiler::compile.
  Result<Made> make(const Form& form);

  const std::shared_ptr<const Bits>& no_json() const { return no_json_; }

 private:
  const std::vector<std::int32_t> end_ids_;
  const std::shared_ptr<const Bits> no_json_;
  xgrammar::GrammarCompiler compiler_;
};

}  // namespace spillway::local::grammar
