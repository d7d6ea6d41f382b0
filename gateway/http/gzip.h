// Bodies made smaller for clients that take it.
#pragma once

#include <string>
#include <string_view>

namespace spillway::http {

// Whether the value of an accept-encoding header takes gzip.
bool takes_gzip(std::string_view accept_encoding);

// Empty if zlib has no memory for it. Any thread.
std::string gzipped(std::string_view body);

}  // namespace spillway::http
