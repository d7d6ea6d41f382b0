// A compiled grammar of xgrammar's as one of ours.
#pragma once

#include "backends/local/grammar/grammar.h"

namespace xgrammar {
class CompiledGrammar;
}

namespace spillway::local::grammar {

std::shared_ptr<const Grammar> grammar_over(xgrammar::CompiledGrammar compiled);

}  // namespace spillway::local::grammar
