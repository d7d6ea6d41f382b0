// A compiled grammar as bytes, for another process of this program that has the same vocabulary.
// xgrammar's own way through JSON takes several times as long as compiling.
#pragma once

#include "backends/local/grammar/packing_internal.h"

namespace xgrammar {
class CompiledGrammar;
class TokenizerInfo;
}  // namespace xgrammar

namespace spillway::local::grammar {

void pack(const xgrammar::CompiledGrammar& compiled, Packer& packer);

// As Unpacker: throws where there is less than it says.
xgrammar::CompiledGrammar unpack_compiled(Unpacker& unpacker,
                                          const xgrammar::TokenizerInfo& tokens);

}  // namespace spillway::local::grammar
