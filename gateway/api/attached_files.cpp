#include "gateway/api/attached_files.h"

#include "gateway/wall_clock.h"
#include "gateway/wire/base64.h"

#include <fstream>
#include <utility>

namespace spillway {
namespace {

using Content = wire::FileShelf::Content;

constexpr std::uint64_t kTimesHeld = 3;  // In base64, here and as it is sent.

Result<std::optional<Content>> read_from(files::FileStore& files, const std::string& tenant,
                                         const std::string& id, std::size_t bytes_max,
                                         const AttachedFiles::Enter& enter) {
  const auto file = files.find(tenant, id, unix_seconds());
  if (!file && file.error().code == Errc::not_found) return std::optional<Content>();
  if (!file) return file.error();
  if (file->bytes > bytes_max)
    return Error{.code = Errc::payload_too_large,
                 .message = "The files that this request names are larger than a request may be."};
  auto leave = enter(tenant, kTimesHeld * file->bytes);
  if (!leave) return leave.error();
  std::string bytes(file->bytes, '\0');
  std::ifstream content(files.path_of(*file), std::ios::binary);
  if (!content.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
    return Error{.code = Errc::internal, .message = "the file " + id + " cannot be read"};
  return std::optional(
      Content{file->name, bytes.size(), wire::base64_of(bytes), std::move(*leave)});
}

}  // namespace

Async<std::optional<Content>> AttachedFiles::read(std::string tenant, std::string id,
                                                  std::size_t bytes_max) {
  std::function<Result<std::optional<Content>>()> work = [files = &cabinet_->files, tenant, id,
                                                          bytes_max, enter = &enter_] {
    return read_from(*files, tenant, id, bytes_max, *enter);
  };
  co_return co_await disk_.run_for_client(std::move(work), std::move(tenant));
}

}  // namespace spillway
