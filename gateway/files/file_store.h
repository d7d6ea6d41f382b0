// The files of all tenants.
//
// On the disk's thread. A file is there for its own tenant only, and until it expires; for all
// others it does not exist.
#pragma once

#include "gateway/files/draft.h"
#include "gateway/files/file.h"
#include "gateway/files/shelf.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::files {

// A page of a list: OpenAI's cursors.
struct ListQuery {
  int limit = 10'000;
  std::string after;    // The id behind which it begins; empty: at the beginning.
  std::string purpose;  // Only these; empty: all.
  bool newest_first = true;
};

struct FilePage {
  std::vector<File> files;
  bool has_more = false;
};

class FileStore {
 public:
  explicit FileStore(Shelf& shelf) : shelf_(shelf) {}  // Which must outlive it.

  // For a file's content.
  Result<Draft> begin(std::string_view tenant);

  // The file from its draft; `file` says all but `id` and `bytes`. payload_too_large for a batch's
  // input past its limit.
  Result<File> keep(Draft& draft, File file);

  // The same for what is the tenant's already, as parts of an upload.
  Result<File> keep_counted(Draft& draft, File file);

  // What was kept in a transaction that is not to be: its content goes, its row is the
  // transaction's.
  void uncount(const File& file);

  // A file that was made here, whole and at `path`: takes it over. Once for each id, however often
  // it is called.
  Result<void> adopt(const File& file, const std::string& path);

  Result<File> find(std::string_view tenant, std::string_view id, Seconds now);
  Result<FilePage> list(std::string_view tenant, const ListQuery& query, Seconds now);
  // It is gone for its tenant at once; while it is in use its bytes stay, and are counted.
  Result<void> remove(std::string_view tenant, std::string_view id, Seconds now);

  // Deletes what has expired, but for what is in use still.
  Result<void> expire(Seconds now);
  void keep_while(std::function<bool(std::string_view id)> in_use) { in_use_ = std::move(in_use); }

  std::string path_of(const File& file) const { return shelf_.path_of(file.id); }

 private:
  Result<void> insert(const File& file);
  Result<void> forget(const std::vector<std::string>& ids);  // All of them or none.
  Result<std::int64_t> position_of(std::string_view tenant, std::string_view id);

  Shelf& shelf_;
  std::function<bool(std::string_view)> in_use_ = [](std::string_view) { return false; };
};

}  // namespace spillway::files
