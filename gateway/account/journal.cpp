#include "gateway/account/journal.h"

#include "gateway/account/book_reader.h"

#include <charconv>

namespace spillway::account {

std::int64_t began(const Slot& slot) {
  return slot.id.view().starts_with("req_") ? slot.held_at : 0;
}

std::int64_t whole(const std::string& column) {
  std::int64_t number = 0;
  std::from_chars(column.data(), column.data() + column.size(), number);
  return number;
}

}  // namespace spillway::account
