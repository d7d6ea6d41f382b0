#include "gateway/wire/attachments.h"

#include "gateway/wire/base64.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::wire {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kFilesMax = 100;

// Providers go by what the data URL says.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kTypes = {
    {{".csv", "text/csv"},
     {".gif", "image/gif"},
     {".html", "text/html"},
     {".jpeg", "image/jpeg"},
     {".jpg", "image/jpeg"},
     {".json", "application/json"},
     {".md", "text/markdown"},
     {".pdf", "application/pdf"},
     {".png", "image/png"},
     {".txt", "text/plain"},
     {".webp", "image/webp"},
     {".xml", "application/xml"}}};

// A place in a message that names a file.
struct Naming {
  ordered_json* holder;
  std::string path;  // "messages[0].content[1].file"
  bool is_picture;
};

// A request that holds files, and its leave to.
struct WithLeaves {
  explicit WithLeaves(const ChatRequest& request) : chat(request) {}

  ChatRequest chat;
  std::vector<std::shared_ptr<const void>> leaves;
};

std::string_view type_of(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto known = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const auto& one) { return name.ends_with(one.first); });
  return known == kTypes.end() ? "application/octet-stream" : known->second;
}

std::string index(std::string_view list, std::size_t at) {
  return std::string(list) + "[" + std::to_string(at) + "]";
}

// With what it names inside already, it needs nothing.
bool names_file(const ordered_json& holder, const char* content) {
  if (!holder.is_object() || holder.contains(content)) return false;
  const auto id = holder.find("file_id");
  return id != holder.end() && id->is_string();
}

void add_namings(ordered_json& part, const std::string& path, std::vector<Naming>& namings) {
  if (!part.is_object()) return;
  const auto file = part.find("file"), picture = part.find("image_url");
  if (file != part.end() && names_file(*file, "file_data"))
    namings.push_back({&*file, path + ".file", false});
  if (picture != part.end() && names_file(*picture, "url"))
    namings.push_back({&*picture, path + ".image_url", true});
}

std::vector<Naming> namings_in(ordered_json& chat) {
  std::vector<Naming> namings;
  const auto messages = chat.find("messages");
  if (messages == chat.end() || !messages->is_array()) return namings;
  for (std::size_t i = 0; i < messages->size(); ++i) {
    ordered_json& message = (*messages)[i];
    const auto content = message.is_object() ? message.find("content") : message.end();
    if (content == message.end() || !content->is_array()) continue;
    const std::string path = index("messages", i) + ".";
    for (std::size_t j = 0; j < content->size(); ++j)
      add_namings((*content)[j], path + index("content", j), namings);
  }
  return namings;
}

void fill(const Naming& naming, const FileShelf::Content& file, ChatRequest& chat) {
  std::string data = "data:" + std::string(type_of(file.name)) + ";base64,";
  data += file.base64;
  const bool is_text = is_plain_text(data);
  if (!naming.is_picture && is_text) add_document(data, chat);
  if (!naming.is_picture && !is_text) chat.unsent = kUnmeasured;
  naming.holder->erase("file_id");
  (*naming.holder)[naming.is_picture ? "url" : "file_data"] = std::move(data);
  if (!naming.is_picture && !naming.holder->contains("filename"))
    (*naming.holder)["filename"] = file.name;
}

Error missing(const Naming& naming, const std::string& id) {
  return {Errc::invalid_request, "No such File object: " + id, naming.path + ".file_id",
          std::nullopt};
}

Error too_many() {
  return {Errc::invalid_request,
          "A request may name at most " + std::to_string(kFilesMax) + " files.", "messages",
          std::nullopt};
}

Error forbidden(const Naming& naming) {
  return {Errc::forbidden, "This key may not read files: 'files' is not in its scopes.",
          naming.path + ".file_id", std::nullopt};
}

Result<void> check(const std::vector<Naming>& namings, const Reader& reader) {
  if (namings.size() > kFilesMax) return too_many();
  if (!namings.empty() && !reader.reads_files) return forbidden(namings.front());
  return {};
}

}  // namespace

bool is_plain_text(std::string_view data_url) {
  constexpr std::array<std::string_view, 3> kText = {"data:text/", "data:application/json",
                                                     "data:application/xml"};
  constexpr std::array<std::string_view, 2> kPacked = {",JVBERi0", ",UEsDB"};  // %PDF-, PK.
  const std::string_view data = data_url.substr(std::min(data_url.find(','), data_url.size()));
  return std::any_of(kText.begin(), kText.end(),
                     [&](std::string_view type) { return data_url.starts_with(type); }) &&
         std::none_of(kPacked.begin(), kPacked.end(),
                      [&](std::string_view packed) { return data.starts_with(packed); });
}

void add_document(std::string_view data_url, ChatRequest& chat) {
  const std::size_t encoded = base64_in(data_url).size();
  ++chat.documents;
  chat.beside_bytes += encoded > 0 ? encoded / 4 * 3 : data_url.size();
}

bool names_files(const ChatRequest& chat) {
  const bool may = has(chat.needs, Need::files) || has(chat.needs, Need::images);
  return may && chat.body.find("\"file_id\"") != std::string::npos;
}

Result<void> check_files(const ChatRequest& chat, const Reader& reader) {
  if (!names_files(chat)) return {};
  ordered_json body = ordered_json::parse(chat.body);
  return check(namings_in(body), reader);
}

Async<std::shared_ptr<const ChatRequest>> with_files(std::shared_ptr<const ChatRequest> chat,
                                                     const Reader& reader, FileShelf& shelf) {
  if (!names_files(*chat)) co_return chat;
  ordered_json body = ordered_json::parse(chat->body);
  std::size_t room = shelf.bytes_max();
  const auto whole = std::make_shared<WithLeaves>(*chat);
  ChatRequest& filled = whole->chat;
  bool changed = false;
  const std::vector<Naming> namings = namings_in(body);
  const auto allowed = check(namings, reader);
  if (!allowed) co_return allowed.error();
  if (namings.empty()) co_return chat;
  for (const Naming& naming : namings) {
    const std::string id = naming.holder->at("file_id").get<std::string>();
    auto file = co_await shelf.read(reader.tenant, id, room);
    if (!file) {
      Error error = file.error();
      error.param = naming.path + ".file_id";
      co_return error;
    }
    if (!*file && naming.is_picture) co_return missing(naming, id);
    if (!*file) filled.unsent = "files by a provider's own ids";
    if (!*file) continue;
    room -= std::min(room, (*file)->bytes);
    fill(naming, **file, filled);
    whole->leaves.push_back(std::move((*file)->leave));
    changed = true;
  }
  if (changed) filled.body = body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  co_return std::shared_ptr<const ChatRequest>(whole, &whole->chat);
}

}  // namespace spillway::wire
