// The shelf and its two stores, opened together. On the disk's thread once opened.
#pragma once

#include "gateway/files/file_store.h"
#include "gateway/files/shelf.h"
#include "gateway/files/upload_store.h"

#include <memory>
#include <utility>

namespace spillway::files {

struct Cabinet {
  explicit Cabinet(std::unique_ptr<Shelf> opened)
      : shelf(std::move(opened)), files(*shelf), uploads(*shelf, files) {}

  static Result<std::unique_ptr<Cabinet>> open(const store::Directory& directory, Limits limits) {
    auto shelf = Shelf::open(directory, limits);
    if (!shelf) return shelf.error();
    return std::make_unique<Cabinet>(std::move(*shelf));
  }

  const std::unique_ptr<Shelf> shelf;
  FileStore files;
  UploadStore uploads;
};

}  // namespace spillway::files
