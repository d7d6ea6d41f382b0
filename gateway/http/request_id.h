// Names for requests. Thread-safe without locks: each thread draws from its own randomly seeded
// generator.
#pragma once

#include <string>

namespace spillway::http {

// "req_" and 24 hexadecimal digits.
std::string next_request_id();

}  // namespace spillway::http
