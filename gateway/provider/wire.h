// The JSON that the simulated provider answers with, in OpenAI's shapes, and errors likewise.
//
// Pure; any thread. Written by hand, since the same few lines go out for every token.
#pragma once

#include "backends/contract/error.h"
#include "gateway/provider/asked.h"
#include "gateway/provider/speech.h"

#include <string>
#include <string_view>

namespace spillway::provider {

// Writes one answer: its id and model are the same in every piece.
class Wire final : public Speech {
 public:
  Wire(std::string_view id, const Asked& asked);

  std::string piece(std::string_view text, int index) const override;
  std::string last_events() const override;
  std::string_view end_event() const override { return "data: [DONE]\n\n"; }
  std::string whole(std::string_view thought, std::string_view text) const override;
  std::string error_event(std::string_view message) const override;
  std::string_view malformed_event() const override;

 private:
  std::string chunk(std::string_view choices, std::string_view more) const;
  std::string usage() const;
  std::string_view finish() const;

  const Asked& asked_;
  std::string ids_;  // The members that all pieces share.
};

// `{"error":{…}}` in OpenAI's shape.
std::string error_body(std::string_view message, std::string_view type, std::string_view code,
                       std::string_view param = "");

// `text` as a JSON string, quotes included; what is not UTF-8 is replaced.
std::string json_string(std::string_view text);

// What stands between the quotes.
std::string json_letters(std::string_view text);

}  // namespace spillway::provider
