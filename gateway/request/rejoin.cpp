#include "gateway/request/rejoin.h"

#include <algorithm>
#include <utility>

namespace spillway {
namespace {

bool is_plain(const Delta& delta) {
  return delta.reasoning.empty() && delta.extra.empty() && delta.choice == 0;
}

// Longer answers are not gone on with: the text is kept for as long as its stream lives.
constexpr std::size_t kContinuedBytesMax = 1 << 20;

// Shorter beginnings may well come again in what follows.
constexpr std::size_t kRepetitionBytesMin = 12;

}  // namespace

void Delivered::add(const Delta& delta) {
  if (!is_plain(delta)) plain = false;
  if (text.size() + delta.text.size() > kContinuedBytesMax) plain = false;
  if (plain) text += delta.text;
}

Async<bool> catch_up(Opened& opened, const Delivered& delivered, Deadline deadline, Part& part) {
  std::size_t said = 0;  // Of what the client has.
  while (true) {
    Delta& piece = opened.first;
    const std::size_t both = std::min(piece.text.size(), delivered.text.size() - said);
    if (!is_plain(piece) || delivered.text.compare(said, both, piece.text, 0, both) != 0) {
      count(piece, part);
      co_return false;
    }
    said += both;
    const bool ends = piece.finish.has_value();
    if (said == delivered.text.size() && (both < piece.text.size() || ends)) {
      piece.text.erase(0, both);
      co_return true;
    }
    count(piece, part);
    if (ends) co_return false;
    auto next = co_await opened.stream->next(deadline);
    if (!next) co_return next.error();
    if (!*next) co_return false;
    opened.first = std::move(**next);
  }
}

Async<bool> drop_repetition(Opened& opened, const Delivered& delivered, Deadline deadline,
                            Part& part) {
  std::string held;
  while (delivered.text.size() >= kRepetitionBytesMin && is_plain(opened.first)) {
    held += opened.first.text;
    if (!delivered.text.starts_with(held) || opened.first.finish) break;
    count(opened.first, part);
    if (held.size() == delivered.text.size()) {
      part.repeated_tokens = tokens_passed(part);
      opened.first = {};
      co_return true;
    }
    auto next = co_await opened.stream->next(deadline);
    if (!next) co_return next.error();
    if (!*next) co_return false;
    opened.first = std::move(**next);
  }
  // It was none after all: what was held back is told with this piece, and counted once.
  if (held.empty()) co_return true;
  part.bytes -= held.size() - opened.first.text.size();
  opened.first.text = std::move(held);
  co_return true;
}

}  // namespace spillway
