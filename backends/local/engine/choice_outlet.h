// One outlet for several answers to the same question: the pieces of each say whose they are.
//
// Of the sequences' engine thread, but for what asks whether anybody reads. Shared by them; the
// answer as a whole ends with the last of them, which tells the usage of all: the prompt once.
// Where one fails, all have.
#pragma once

#include "backends/contract/outlet.h"

#include <memory>
#include <vector>

namespace spillway::local {

// So many ends of `whole`, in the order of their choices. Requires: one at least.
std::vector<std::shared_ptr<Outlet>> divide(std::shared_ptr<Outlet> whole, int choices);

}  // namespace spillway::local
