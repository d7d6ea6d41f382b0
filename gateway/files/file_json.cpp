#include "gateway/files/file_json.h"

#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace spillway::files {
namespace {

using wire::append_json_number;
using wire::append_json_string;
using wire::Json;

constexpr std::array<std::string_view, 6> kPurposes = {"assistants", "batch",     "evals",
                                                       "fine-tune",  "user_data", "vision"};
constexpr Seconds kExpiryMin = 3'600;
constexpr Seconds kExpiryMax = 2'592'000;
constexpr std::size_t kPartsMax = 10'000;
constexpr std::size_t kNameMax = 512;

void append(std::string& out, std::string_view key, std::string_view text) {
  out.append(",\"").append(key).append("\":");
  append_json_string(out, text);
}

void append(std::string& out, std::string_view key, std::int64_t number) {
  out.append(",\"").append(key).append("\":");
  append_json_number(out, number);
}

void append(std::string& out, std::string_view key, const std::optional<Seconds>& time) {
  if (time) return append(out, key, *time);
  out.append(",\"").append(key).append("\":null");
}

std::string open_object(std::string_view id) {
  std::string out = R"({"id":)";
  append_json_string(out, id);
  return out;
}

Error out_of_range(std::string param) {
  return Error{Errc::invalid_request, "must be between 3600 and 2592000 seconds after created_at",
               std::move(param), std::nullopt};
}

}  // namespace

std::string file_object(const File& file) {
  std::string out = open_object(file.id);
  append(out, "object", "file");
  append(out, "bytes", static_cast<std::int64_t>(file.bytes));
  append(out, "created_at", file.created);
  append(out, "expires_at", file.expires);
  append(out, "filename", file.name);
  append(out, "purpose", file.purpose);
  return out + R"(,"status":"processed","status_details":null})";
}

std::string file_page(const FilePage& page) {
  std::string out = R"({"object":"list","data":[)";
  for (const File& file : page.files) {
    if (&file != &page.files.front()) out += ",";
    out += file_object(file);
  }
  out += R"(],"first_id":)";
  wire::append_json_string_or_null(out, page.files.empty() ? "" : page.files.front().id);
  out += R"(,"last_id":)";
  wire::append_json_string_or_null(out, page.files.empty() ? "" : page.files.back().id);
  return out + R"(,"has_more":)" + (page.has_more ? "true}" : "false}");
}

std::string deleted_file(std::string_view id) {
  return open_object(id) + R"(,"object":"file","deleted":true})";
}

std::string upload_object(const Upload& upload) {
  std::string out = open_object(upload.id);
  append(out, "object", "upload");
  append(out, "bytes", static_cast<std::int64_t>(upload.bytes));
  append(out, "created_at", upload.created);
  append(out, "expires_at", upload.expires);
  append(out, "filename", upload.name);
  append(out, "purpose", upload.purpose);
  append(out, "status", name_of(upload.state));
  return out + R"(,"file":)" + (upload.file ? file_object(*upload.file) : "null") + "}";
}

std::string part_object(const PartOfUpload& part) {
  std::string out = open_object(part.id);
  append(out, "object", "upload.part");
  append(out, "created_at", part.created);
  append(out, "upload_id", part.upload);
  return out + "}";
}

Result<void> check_purpose(std::string_view purpose) {
  if (std::find(kPurposes.begin(), kPurposes.end(), purpose) != kPurposes.end()) return {};
  std::string known;
  for (const std::string_view each : kPurposes)
    known += (known.empty() ? "" : ", ") + std::string(each);
  return Error{Errc::invalid_request, "must be one of " + known, "purpose", std::nullopt};
}

Result<std::optional<Seconds>> read_expiry(std::string_view anchor, std::string_view seconds) {
  if (anchor.empty() && seconds.empty()) return std::optional<Seconds>();
  if (anchor != "created_at")
    return Error{Errc::invalid_request, "must be created_at", "expires_after[anchor]",
                 std::nullopt};
  Seconds value = 0;
  const auto [end, error] = std::from_chars(seconds.data(), seconds.data() + seconds.size(), value);
  const bool whole = error == std::errc() && end == seconds.data() + seconds.size();
  if (!whole || value < kExpiryMin || value > kExpiryMax)
    return out_of_range("expires_after[seconds]");
  return std::optional<Seconds>(value);
}

Result<Upload> read_upload(std::string_view body) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  wire::Fields request(*json, "", error);
  Upload upload;
  upload.name = request.required_string("filename");
  if (upload.name.size() > kNameMax) request.fail("filename", "must have at most 512 bytes");
  upload.purpose = request.required_string("purpose");
  upload.mime_type = request.required_string("mime_type");
  if (upload.mime_type.size() > kNameMax) request.fail("mime_type", "must have at most 512 bytes");
  const auto bytes = request.number("bytes", {0, 1e15});
  if (!bytes) request.fail("bytes", "is required");
  upload.bytes = static_cast<std::uint64_t>(bytes.value_or(0));
  upload.file_expires_after = request.lifetime("expires_after");
  if (error) return *error;
  const auto known = check_purpose(upload.purpose);
  if (!known) return known.error();
  return upload;
}

Result<Completion> read_completion(std::string_view body) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  wire::Fields request(*json, "", error);
  Completion completion;
  completion.md5 = request.string("md5", 64).value_or("");
  if (const Json* parts = request.required_array("part_ids", kPartsMax)) {
    for (const Json& part : *parts) {
      if (part.is_string()) {
        completion.part_ids.push_back(part.get<std::string>());
      } else {
        request.fail("part_ids", "must be an array of strings");
      }
    }
  }
  if (error) return *error;
  return completion;
}

}  // namespace spillway::files
