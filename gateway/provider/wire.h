// The JSON that the simulated provider answers with, in OpenAI's shapes, and errors likewise.
//
// Pure; any thread. Written by hand, since the same few lines go out for every token.
#pragma once

#include "backends/contract/error.h"
#include "gateway/provider/asked.h"

#include <string>
#include <string_view>

namespace spillway::provider {

// Writes one answer: its id and model are the same in every piece.
class Wire {
 public:
  Wire(std::string_view id, const Asked& asked);

  // A chunk event with a piece of text; the first one also names the role.
  std::string text_event(std::string_view text, bool first) const;
  // The chunk with the finish_reason and, if asked for, the usage chunk.
  std::string last_events() const;
  // The whole answer as one object.
  std::string whole(std::string_view text) const;

 private:
  std::string chunk(std::string_view choices, std::string_view more) const;
  std::string usage() const;
  std::string_view finish() const { return asked_.limited ? "length" : "stop"; }

  const Asked& asked_;
  std::string ids_;  // The members that all pieces share.
};

inline constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

// `{"error":{…}}` in OpenAI's shape.
std::string error_body(std::string_view message, std::string_view type, std::string_view code,
                       std::string_view param = "");

// `text` as a JSON string, quotes included; what is not UTF-8 is replaced.
std::string json_string(std::string_view text);

}  // namespace spillway::provider
