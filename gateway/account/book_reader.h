// The book for those who only read it, whichever store keeps it: both understand the same SQL over
// the same tables.
//
// Belongs to one thread at a time; a call may wait for the disk or the database.
#pragma once

#include "backends/contract/error.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace spillway::account {

using BookRow = std::vector<std::string>;  // Columns as text.

class BookReader {
 public:
  virtual ~BookReader() = default;

  // `query` names its values $1, $2… in the order in which they first stand there.
  virtual Result<std::vector<BookRow>> ask(const std::string& query,
                                           const std::vector<std::int64_t>& values = {}) = 0;
};

// A column that is a whole number; 0 where it is none.
std::int64_t whole(const std::string& column);

}  // namespace spillway::account
