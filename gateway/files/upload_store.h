// Uploads in parts: announced, filled part by part, then made a file, within an hour.
//
// On the disk's thread. An upload is there for its own tenant only. To make a file of many parts
// takes a while: Assembly does it in steps, between which others use the thread.
#pragma once

#include "config/digest.h"
#include "gateway/files/draft.h"
#include "gateway/files/file_store.h"
#include "gateway/files/shelf.h"

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::files {

inline constexpr Seconds kUploadLifetime = 3'600;

class UploadStore {
 public:
  UploadStore(Shelf& shelf, FileStore& files) : shelf_(shelf), files_(files) {}

  // `upload` says all but `id`, `expires` and `state`. invalid_request if no file may be so large.
  Result<Upload> create(Upload upload);

  // For a part's content; the upload must be pending.
  Result<Draft> begin_part(std::string_view tenant, std::string_view id, Seconds now);
  Result<PartOfUpload> keep_part(Draft& draft, std::string_view tenant, std::string_view id,
                                 Seconds now);

  // The upload, cancelled; its parts are gone.
  Result<Upload> cancel(std::string_view tenant, std::string_view id, Seconds now);

  // What is given up by its time.
  Result<void> expire(Seconds now);

  class Assembly;

  // Begins to make its file of these parts, in their order. `md5` is what the client expects of the
  // whole, or empty. For as long as the Assembly is there nothing else may be done with the upload:
  // conflict.
  Result<Assembly> assemble(std::string_view tenant, std::string_view id,
                            const std::vector<std::string>& part_ids, std::string md5, Seconds now);

 private:
  Result<Upload> find(std::string_view tenant, std::string_view id);
  Result<Upload> pending(std::string_view tenant, std::string_view id, Seconds now);
  Result<Upload> at_rest(std::string_view tenant, std::string_view id, Seconds now);
  Result<void> insert(const PartOfUpload& part, std::string_view tenant);
  struct Gone {
    std::string id, tenant;
    std::uint64_t bytes;
  };
  Result<void> end(const Upload& upload, UploadState state);
  Result<std::vector<Gone>> mark_ended(const Upload& upload, UploadState state);
  void drop(const std::vector<Gone>& parts);

  Shelf& shelf_;
  FileStore& files_;
  std::set<std::string, std::less<>> in_assembly_;  // The ids of uploads.
};

// The store must outlive it; it goes on the disk's thread.
class UploadStore::Assembly {
 public:
  // Copies some more; true once all is copied.
  Result<bool> step();

  // The upload, completed, with its file. Requires: step() returned true.
  Result<Upload> finish(Seconds now);

 private:
  friend class UploadStore;
  Assembly(UploadStore& store, Upload upload, Draft draft, std::string md5);

  UploadStore& store_;
  Upload upload_;
  std::shared_ptr<const void> alone_;  // Lets others at the upload when it goes.
  Draft draft_;
  const std::string wanted_;
  config::Md5 md5_;
  std::vector<std::string> parts_;
  std::size_t at_ = 0;  // The part being copied.
  std::uint64_t offset_ = 0;
};

}  // namespace spillway::files
