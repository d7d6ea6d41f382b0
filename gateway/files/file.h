// What is known of a file and of an upload in parts. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::files {

using Seconds = std::int64_t;  // Unix time, or a span of it.

struct File {
  std::string id;  // "file-…"
  std::string tenant;
  std::string name;
  std::string purpose;
  std::uint64_t bytes = 0;
  Seconds created = 0;
  std::optional<Seconds> expires;
};

enum class UploadState { pending, completed, cancelled, expired };

struct Upload {
  std::string id;  // "upload_…"
  std::string tenant;
  std::string name;
  std::string purpose;
  std::uint64_t bytes = 0;  // As announced.
  std::string mime_type;
  Seconds created = 0;
  Seconds expires = 0;
  UploadState state = UploadState::pending;
  std::optional<Seconds> file_expires_after;
  std::optional<File> file;  // Once completed.
};

struct PartOfUpload {
  std::string id;  // "part_…"
  std::string upload;
  std::uint64_t bytes = 0;
  Seconds created = 0;
};

// What an operator allows; in bytes, but for the numbers of a tenant's files and parts.
struct Limits {
  std::uint64_t file_max = 512ULL << 20;
  std::uint64_t batch_input_max = 200ULL << 20;
  std::uint64_t part_max = 64ULL << 20;
  std::uint64_t tenant_max = 10ULL << 30;
  std::uint64_t weight_min = 4 << 10;  // What a file or part counts at least: it takes a block.
  std::int64_t tenant_files_max = 100'000;
  std::int64_t tenant_parts_max = 20'000;
};

std::string_view name_of(UploadState state);

}  // namespace spillway::files
