// The verbs of the command line. Each takes the words after its name, prints what went wrong to
// stderr and returns the exit status.
#pragma once

#include <string>
#include <vector>

namespace spillway::verbs {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;   // What was asked about is bad, or it could not be done.
inline constexpr int kMisused = 2;  // The command line is wrong, or a file that it names.

using Arguments = std::vector<std::string>;

int serve(const Arguments& arguments);
int engine_child(const Arguments& arguments);  // Of the gateway itself; nobody else says it.
int forms_child(const Arguments& arguments);   // Of an engine, likewise.
int check(const Arguments& arguments);
int config(const Arguments& arguments);
int provider(const Arguments& arguments);
int simulate(const Arguments& arguments);
int replay(const Arguments& arguments);
int explain(const Arguments& arguments);
int diff(const Arguments& arguments);
int import(const Arguments& arguments);
int keys(const Arguments& arguments);
int report(const Arguments& arguments);
int quantize(const Arguments& arguments);
int rollout(const Arguments& arguments);

}  // namespace spillway::verbs
