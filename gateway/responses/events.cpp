#include "gateway/responses/events.h"

#include "gateway/responses/transcript.h"
#include "gateway/wire/json_text.h"

#include <utility>

namespace spillway::responses {
namespace {
constexpr std::string_view kData = "data: ";
constexpr std::string_view kEnd = "\n\n";
}  // namespace

void Events::add(std::string_view type, std::string_view members) {
  if (!told_) return;
  const auto from = text_.size();
  text_.append("event: ").append(type).append("\ndata: {\"type\":\"").append(type);
  text_.append("\",").append(kNumberMark);
  wire::append_json_number(text_, next_++);
  text_.append(",").append(members).append("}\n\n");
  if (transcript_) transcript_->add(std::string_view(text_).substr(from));
}

std::string Events::take() { return std::exchange(text_, {}); }

std::vector<std::string> split_events(std::string_view text) {
  std::vector<std::string> all;
  for (auto end = text.find(kEnd); end != text.npos; end = text.find(kEnd)) {
    all.emplace_back(text.substr(0, end + kEnd.size()));
    text.remove_prefix(end + kEnd.size());
  }
  return all;
}

std::string_view data_of(std::string_view event) {
  const auto at = event.find(kData);
  if (at == event.npos) return {};
  event.remove_prefix(at + kData.size());
  return event.substr(0, event.find(kEnd));
}

}  // namespace spillway::responses
