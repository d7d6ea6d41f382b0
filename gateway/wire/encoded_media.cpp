#include "gateway/wire/encoded_media.h"

#include "gateway/wire/attachments.h"
#include "gateway/wire/base64.h"
#include "gateway/wire/json_object.h"
#include "gateway/wire/normalized_bytes.h"

#include <nlohmann/json.hpp>

#include <array>
#include <string>

namespace spillway::wire {
namespace {

using Json = nlohmann::json;

enum class Medium { picture, sound, document };

// Where a part of that type has it: `holder` is empty where the part itself does.
struct Place {
  std::string_view type, holder, member;
  Medium medium;
};
// Of chat completions and moderations, of messages, and of responses.
constexpr std::array<Place, 6> kPlaces = {{{"image_url", "image_url", "url", Medium::picture},
                                           {"input_audio", "input_audio", "data", Medium::sound},
                                           {"file", "file", "file_data", Medium::document},
                                           {"image", "source", "data", Medium::picture},
                                           {"input_image", "", "image_url", Medium::picture},
                                           {"input_file", "", "file_data", Medium::document}}};

const std::string* text_at(const Json& object, std::string_view member) {
  const auto found = object.is_object() ? object.find(member) : object.end();
  return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

const std::string* data_at(const Json& part, const Place& place) {
  if (place.holder.empty()) return text_at(part, place.member);
  const auto holder = part.find(place.holder);
  return holder == part.end() ? nullptr : text_at(*holder, place.member);
}

void add(std::string_view data, Medium medium, EncodedMedia& media) {
  const std::string_view encoded = base64_in(data);
  media.encoded_bytes += encoded.size();
  if (medium == Medium::sound) media.read_bytes += encoded.size() / 4 * 3;
  if (medium == Medium::document && is_plain_text(data))
    media.read_bytes += normalized_bytes_max(bytes_of_base64(encoded).value_or(""));
}

// Messages hold parts, and a tool's result holds some in its turn.
void look_through(const Json& list, EncodedMedia& media) {
  if (!list.is_array()) return;
  for (const Json& each : list) {
    if (!each.is_object()) continue;
    const std::string* const type = text_at(each, "type");
    for (const Place& place : kPlaces) {
      const std::string* const data =
          type != nullptr && *type == place.type ? data_at(each, place) : nullptr;
      if (data != nullptr) add(*data, place.medium, media);
    }
    for (const char* inner : {"content", "output"}) {
      const auto held = each.find(inner);
      if (held != each.end()) look_through(*held, media);
    }
  }
}

}  // namespace

EncodedMedia encoded_media_in(std::string_view body) {
  EncodedMedia media;
  const auto json = parse_object(body);
  if (!json) return media;
  for (const char* list : {"messages", "input"}) {
    const auto found = json->find(list);
    if (found != json->end()) look_through(*found, media);
  }
  return media;
}

}  // namespace spillway::wire
