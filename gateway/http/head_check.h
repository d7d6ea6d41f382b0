// The strict reading of an HTTP/1.x request head, before Beast sees it.
//
// Parsers that disagree about where a request ends let one client smuggle a request into another's
// connection. Beast (to 1.85) accepts a dozen heads that other servers read differently, so each
// head passes here first and only what everybody reads the same way goes on. Pure; RFC 9110 and
// 9112, without their leniencies.
#pragma once

#include "gateway/http/counters.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace spillway::http {

inline constexpr int kHeaderFieldsMax = 100;

// Looks for the empty line that ends a head in bytes that arrive piece by piece; looks at each byte
// once.
class HeadScanner {
 public:
  enum class State { more, found, bare_line_end };

  // `bytes` is everything received so far of this head; it begins with what earlier calls saw.
  State scan(std::string_view bytes);

  // Length of the head with its empty line. Requires: scan() returned found.
  std::size_t head_size() const { return scanned_; }

  void reset() { scanned_ = 0; }

 private:
  std::size_t scanned_ = 0;
};

struct HeadFacts {
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool expects_continue = false;
};

struct HeadVerdict {
  std::optional<Reject> reject;
  std::string_view why;  // For the client; static storage.
  HeadFacts facts;       // Only if not rejected.
};

// Requires: `head` ends with its empty line and has no bare LF (HeadScanner).
HeadVerdict check_head(std::string_view head);

}  // namespace spillway::http
