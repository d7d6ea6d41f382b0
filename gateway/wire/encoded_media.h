// What of a request's body is base64 of pictures, sounds and files, and is read as something else
// than words. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace spillway::wire {

struct EncodedMedia {
  std::size_t encoded_bytes = 0;
  std::size_t read_bytes = 0;  // Of sounds, and of texts as normalized_bytes_max has them. A
                               // picture comes to what pictures do, whatever its bytes.
};

// Of the messages, turns or inputs of `body`, by the names that OpenAI and Anthropic have for their
// parts: what stands elsewhere, or is no base64, may be read as it is.
EncodedMedia encoded_media_in(std::string_view body);

}  // namespace spillway::wire
