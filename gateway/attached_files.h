// What was uploaded to /v1/files, for requests that name it.
//
// Any thread; the disk's thread reads.
#pragma once

#include "gateway/files/cabinet.h"
#include "gateway/store/disk_thread.h"
#include "gateway/wire/attachments.h"

#include <memory>

namespace spillway {

class AttachedFiles final : public wire::FileShelf {
 public:
  // All must outlive it. `cabinet` may still be empty until the listener starts.
  AttachedFiles(store::DiskThread& disk, const std::unique_ptr<files::Cabinet>& cabinet,
                std::size_t bytes_max)
      : disk_(disk), cabinet_(cabinet), bytes_max_(bytes_max) {}

  Async<std::optional<Content>> read(std::string tenant, std::string id,
                                     std::size_t bytes_max) override;
  std::size_t bytes_max() const override { return bytes_max_; }

 private:
  store::DiskThread& disk_;
  const std::unique_ptr<files::Cabinet>& cabinet_;
  const std::size_t bytes_max_;
};

}  // namespace spillway
