// A Compiler whose work is done in processes of their own (form_server.h): each form has so much
// time and memory, and where it takes more, its process is killed and nothing of it is left.
#pragma once

#include "backends/local/grammar/grammar.h"
#include "backends/process/child_process.h"

#include <chrono>
#include <cstddef>
#include <memory>

namespace spillway::local::grammar {

struct FormLimits {
  std::chrono::milliseconds time{20'000};
  std::size_t memory = 512u << 20;        // Beside what the vocabulary takes.
  std::size_t compiled_max = 128u << 20;  // Bytes of what it comes to.
};

// `program` leads to run_form_server; it is started when the first form is asked for, and again
// where it has ended. Null where the build has no xgrammar.
std::unique_ptr<Compiler> make_served_compiler(Vocabulary vocabulary, process::Program program,
                                               FormLimits limits = {});

}  // namespace spillway::local::grammar
