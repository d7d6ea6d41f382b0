// multipart/form-data (RFC 7578) as it arrives: bytes in, parts out, byte for byte.
//
// Pure; belongs to one request. Holds back only what may be the beginning of a boundary. What looks
// like one but is followed by something else is content.
#pragma once

#include "backends/contract/error.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::files {

struct PartHead {
  std::string name;
  std::optional<std::string> filename;  // Present in a part that is a file.
};

struct Piece {
  enum class Kind {
    part,  // A part begins: `head`.
    data,  // More of it: `bytes`.
    done,  // All parts have been.
  };
  Kind kind = Kind::done;
  PartHead head;
  std::string bytes;
};

// The boundary that a Content-Type header names; invalid_request if it is not multipart/form-data.
Result<std::string> boundary_of(std::string_view content_type);

class MultipartReader {
 public:
  explicit MultipartReader(const std::string& boundary);

  void push(std::string_view bytes);

  // The next piece of what was pushed; nothing: push more. Behind `done` everything is ignored.
  Result<std::optional<Piece>> next();

 private:
  enum class State { preamble, head, data, done };
  enum class After { undecided, another_part, the_end, content };

  After what_follows(std::size_t delimiter_end) const;
  std::optional<Piece> take_data(std::size_t end);
  Result<std::optional<Piece>> read_data();
  Result<std::optional<Piece>> read_head();

  const std::string delimiter_;  // With the line end before it.
  std::string buffer_;
  std::size_t at_ = 0;        // Before it everything has been read.
  std::size_t searched_ = 0;  // Before it no delimiter begins.
  State state_ = State::preamble;
};

}  // namespace spillway::files
