// The files that a request names by their ids, put into it as the bytes that providers read: nobody
// but the gateway knows these ids.
#pragma once

#include "backends/contract/backend.h"
#include "backends/contract/chat.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::wire {

// Whose files a request may name.
struct Reader {
  std::string tenant;
  bool reads_files = true;  // The key may.
};

// The files of all tenants. Any thread.
class FileShelf {
 public:
  struct Content {
    std::string name;
    std::size_t bytes = 0;
    std::string base64;
    std::shared_ptr<const void> leave = {};  // To hold its bytes, until the request is answered.
  };

  virtual ~FileShelf() = default;

  // Nothing: the tenant has no such file. payload_too_large: it has more than `bytes_max`;
  // overloaded: others are to come first.
  virtual Async<std::optional<Content>> read(std::string tenant, std::string id,
                                             std::size_t bytes_max) = 0;

  // As much as a client may send in a request itself.
  virtual std::size_t bytes_max() const = 0;
};

// For ChatRequest::unsent: documents whose length their bytes do not tell.
inline constexpr std::string_view kUnmeasured = "documents that are no plain text";

// Whether the bytes of a data URL are the words that are read: a PDF of a few may have many pages.
bool is_plain_text(std::string_view data_url);

// Such a text among a chat's media: read as its words, as many bytes as it has.
void add_document(std::string_view data_url, ChatRequest& chat);

// Whether it may name any. Cheap.
bool names_files(const ChatRequest& chat);

// Whether it may have those that it names, before any is read. Fails as with_files does.
Result<void> check_files(const ChatRequest& chat, const Reader& reader);

// A chat with the bytes of `{"file": {"file_id": …}}` and `{"image_url": {"file_id": …}}` in its
// messages, as data URLs. The id of a file that is not known here is left to the provider, a
// picture's is invalid_request, and so are too many. payload_too_large: all together are more than
// the shelf's most. ChatRequest::unsent says so where their length cannot be told by their bytes.
Async<std::shared_ptr<const ChatRequest>> with_files(std::shared_ptr<const ChatRequest> chat,
                                                     const Reader& reader, FileShelf& shelf);

}  // namespace spillway::wire
