// The room in a build without xgrammar.
#include "backends/local/grammar/form_server.h"
#include "backends/local/grammar/served_compiler.h"

#include <cstdlib>

namespace spillway::local::grammar {

std::unique_ptr<Compiler> make_compiler(Vocabulary) { return nullptr; }

std::unique_ptr<Compiler> make_served_compiler(Vocabulary, process::Program, FormLimits) {
  return nullptr;
}

void run_form_server() { std::exit(EXIT_FAILURE); }

bool is_built() { return false; }

}  // namespace spillway::local::grammar
