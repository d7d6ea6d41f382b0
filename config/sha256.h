// SHA-256 (FIPS 180-4), to name a version of a configuration file. Pure.
#pragma once

#include <string>
#include <string_view>

namespace spillway::config {

// 64 hexadecimal digits in lower case.
std::string sha256_hex(std::string_view bytes);

}  // namespace spillway::config
