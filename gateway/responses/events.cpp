#include "gateway/responses/events.h"

#include "gateway/wire/json_text.h"

#include <utility>

namespace spillway::responses {

void Events::add(std::string_view type, std::string_view members) {
  if (!told_) return;
  text_.append("event: ").append(type).append("\ndata: {\"type\":\"").append(type);
  text_.append("\",\"sequence_number\":");
  wire::append_json_number(text_, next_++);
  text_.append(",").append(members).append("}\n\n");
}

std::string Events::take() { return std::exchange(text_, {}); }

}  // namespace spillway::responses
