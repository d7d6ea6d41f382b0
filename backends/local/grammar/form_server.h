// A process that compiles forms for the one that started it (served_compiler.cpp), each in a child
// of its own: what a form takes of time and memory ends with that child, and so does what xgrammar
// may do wrong.
#pragma once

namespace spillway::local::grammar {

// Reads the vocabulary and serves what it is handed until who started it is gone; then ends the
// process.
[[noreturn]] void run_form_server();

}  // namespace spillway::local::grammar
