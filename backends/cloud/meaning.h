// What a provider's complaint means, whatever its status: by its codes, and by its words only where
// it has no code of its own for it.
//
// Pure; any thread.
#pragma once

#include "backends/cloud/dialects/dialect.h"

namespace spillway::cloud {

enum class Meaning {
  other,
  unpaid,     // The gateway's account there has no credit.
  unwelcome,  // Nor may its key, or where it asks from, be used there.
  too_long,   // Prompt plus asked completion exceed the model's context.
  unknown,    // It has no such field, value or ability: another may.
  busy,       // It has no capacity left for now.
};

Meaning meaning_of(const Complaint& complaint);

}  // namespace spillway::cloud
