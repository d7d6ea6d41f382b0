// A compiled grammar of xgrammar's as one of ours.
#pragma once

#include "backends/local/grammar/grammar.h"

namespace xgrammar {
class CompiledGrammar;
}

namespace spillway::local::grammar {

// One bit a token, as in Mask.
using Bits = std::vector<std::uint32_t>;

// `banned`: tokens that never come, whatever the grammar lets; null: none.
std::shared_ptr<const Grammar> grammar_over(xgrammar::CompiledGrammar compiled,
                                            std::shared_ptr<const Bits> banned);

}  // namespace spillway::local::grammar
