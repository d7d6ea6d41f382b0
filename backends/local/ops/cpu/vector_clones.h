// Marks a function of plain loops to be compiled several times, for what the processor turns out to
// have.
//
// The loader picks the best when the program starts, so that one binary runs everywhere. The
// sanitizers instrument start-up too early for that: they get the plain one.
#pragma once

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SPILLWAY_VECTOR_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SPILLWAY_VECTOR_CLONES
#endif
