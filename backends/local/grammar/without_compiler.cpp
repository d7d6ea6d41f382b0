// The room in a build without xgrammar.
#include "backends/local/grammar/grammar.h"

namespace spillway::local::grammar {

std::unique_ptr<Compiler> make_compiler(Vocabulary) { return nullptr; }

bool is_built() { return false; }

}  // namespace spillway::local::grammar
