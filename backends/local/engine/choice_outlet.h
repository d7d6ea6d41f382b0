// One outlet for all answers to one question: the pieces of each say whose they are.
//
// Of the sequences' engine threads, which may be several's. Shared by them; the
// answer as a whole ends with the last of them, which tells the usage of all: each prompt once.
// Where one fails, all have: what is made for the others is abandoned.
#pragma once

#include "backends/contract/outlet.h"

#include <functional>
#include <memory>
#include <vector>

namespace spillway::local {

// So many ends of `whole`, in the order of their choices, of which so many follow each other
// `to_each` prompt. `on_failure`, on the thread of the first that fails, is to wake the engines of
// the others, for these are abandoned. Requires: one at least.
std::vector<std::shared_ptr<Outlet>> divide(std::shared_ptr<Outlet> whole, int answers, int to_each,
                                            std::function<void()> on_failure);

}  // namespace spillway::local
