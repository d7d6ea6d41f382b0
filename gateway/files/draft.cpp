#include "gateway/files/draft.h"

#include <unistd.h>

namespace spillway::files {

Result<Draft> Draft::create(std::string path, std::uint64_t bytes_max, Error excuse,
                            std::shared_ptr<Room> room) {
  auto file = store::DiskFile::create(path);
  if (!file) return file.error();
  return Draft(std::move(*file), std::move(path), bytes_max, std::move(excuse), std::move(room));
}

Draft::~Draft() {
  if (!path_.text.empty()) ::unlink(path_.text.c_str());
}

Result<void> Draft::write(std::string_view bytes) {
  if (bytes.size() > bytes_max_ - bytes_) return excuse_;
  auto written = arriving_.add(bytes.size());
  if (written) written = file_.write(bytes);
  if (written) bytes_ += bytes.size();
  return written;
}

Result<void> Draft::keep(const std::string& path) {
  auto synced = file_.sync();
  if (!synced) return synced;
  auto renamed = store::rename_durably(path_.text, path);
  if (!renamed) return renamed;
  path_.text.clear();
  arriving_.end();
  return renamed;
}

}  // namespace spillway::files
