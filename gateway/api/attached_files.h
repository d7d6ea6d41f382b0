// What was uploaded to /v1/files, for requests that name it.
//
// Any thread; the disk's thread reads.
#pragma once

#include "gateway/files/cabinet.h"
#include "gateway/store/disk_thread.h"
#include "gateway/wire/attachments.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace spillway {

class AttachedFiles final : public wire::FileShelf {
 public:
  // Leave to hold so many bytes for a tenant.
  using Enter = std::function<Result<std::shared_ptr<const void>>(const std::string& tenant,
                                                                  std::uint64_t bytes)>;

  // All must outlive it. `cabinet` may still be empty until the listener starts.
  AttachedFiles(store::DiskThread& disk, const std::unique_ptr<files::Cabinet>& cabinet,
                std::size_t bytes_max, Enter enter)
      : disk_(disk), cabinet_(cabinet), bytes_max_(bytes_max), enter_(std::move(enter)) {}

  Async<std::optional<Content>> read(std::string tenant, std::string id,
                                     std::size_t bytes_max) override;
  std::size_t bytes_max() const override { return bytes_max_; }

 private:
  store::DiskThread& disk_;
  const std::unique_ptr<files::Cabinet>& cabinet_;
  const std::size_t bytes_max_;
  const Enter enter_;
};

}  // namespace spillway
