// Files, uploads and parts as OpenAI's objects, and what clients send to make an upload of them.
// Pure.
#pragma once

#include "backends/contract/error.h"
#include "gateway/files/file.h"
#include "gateway/files/file_store.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::files {

std::string file_object(const File& file);
std::string file_page(const FilePage& page);
std::string deleted_file(std::string_view id);
std::string upload_object(const Upload& upload);
std::string part_object(const PartOfUpload& part);

// What a file may be for; invalid_request names `purpose` otherwise.
Result<void> check_purpose(std::string_view purpose);

// `expires_after` as its two texts in a form; both empty: never.
Result<std::optional<Seconds>> read_expiry(std::string_view anchor, std::string_view seconds);

// POST /v1/uploads; without tenant, id and times.
Result<Upload> read_upload(std::string_view body);

struct Completion {
  std::vector<std::string> part_ids;
  std::string md5;  // Empty: not given.
};
Result<Completion> read_completion(std::string_view body);

}  // namespace spillway::files
