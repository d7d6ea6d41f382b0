// Reads a small regular file whole. Blocks on the disk; callable from any thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <variant>

namespace spillway::config {

struct Unreadable {
  std::string reason;  // "no such file", "larger than 1MiB"…, to follow the path and a colon.
};

// Refuses what is not a regular file (a device or a pipe could block or never end) and what holds
// more than `bytes_max`.
std::variant<std::string, Unreadable> read_bounded(const std::string& path, std::size_t bytes_max);

// Path → SHA-256 of the bytes; empty: it could not be read.
using FilesRead = std::map<std::string, std::string>;

// The same, and notes it.
std::variant<std::string, Unreadable> read_noted(const std::string& path, std::size_t bytes_max,
                                                 FilesRead& files);

}  // namespace spillway::config
