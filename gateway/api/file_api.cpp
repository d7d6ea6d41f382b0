#include "gateway/api/file_api.h"

#include "gateway/files/file_json.h"
#include "gateway/http/body_reader.h"
#include "gateway/request/refusal.h"
#include "gateway/wall_clock.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

// The form around a file: boundaries, heads and fields.
constexpr std::uint64_t kFormBytesMax = 1 << 20;
constexpr std::size_t kPieceBytes = 256 << 10;
constexpr int kPageMax = 10'000;

Result<files::ListQuery> list_query(const http::Request& raw) {
  files::ListQuery query;
  query.after = raw.parameter("after");
  query.purpose = raw.parameter("purpose");
  const auto newest = newest_first(raw, true);
  if (!newest) return newest.error();
  query.newest_first = *newest;
  const auto limit = page_limit(raw, kPageMax, kPageMax);
  if (!limit) return limit.error();
  query.limit = *limit;
  return query;
}

// Whoever lets go of it last, the disk's thread deletes it, when it is the tenant's turn.
template <class T>
std::shared_ptr<T> on_disk_thread(T made, store::DiskThread& disk, const std::string& tenant) {
  const auto drop = [&disk, tenant](T* dropped) {
    disk.post([dropped] { delete dropped; }, tenant);
  };
  return std::shared_ptr<T>(new T(std::move(made)), drop);
}

// An opened file and what is known of it.
struct Opened {
  files::File about;
  std::shared_ptr<store::DiskFile> file;
};

}  // namespace

void FileApi::add_to(http::Routes& routes) const {
  routes.add_streamed("POST", "/v1/files", limits_.file_max + kFormBytesMax,
                      handle(&FileApi::create));
  routes.add("GET", "/v1/files", handle(&FileApi::list));
  routes.add("GET", "/v1/files/{id}", handle(&FileApi::retrieve));
  routes.add("DELETE", "/v1/files/{id}", handle(&FileApi::remove));
  routes.add("GET", "/v1/files/{id}/content", std::bind_front(&FileApi::content, this));
  routes.add("POST", "/v1/uploads", handle(&FileApi::begin_upload));
  routes.add_streamed("POST", "/v1/uploads/{id}/parts", limits_.part_max + kFormBytesMax,
                      handle(&FileApi::add_part));
  routes.add("POST", "/v1/uploads/{id}/complete", handle(&FileApi::complete));
  routes.add("POST", "/v1/uploads/{id}/cancel", handle(&FileApi::cancel));
}

http::Handler FileApi::handle(Work work) const {
  return object_handler(reception_, std::bind_front(work, this));
}

Async<std::string> FileApi::create(http::Request& raw, const Visitor& visitor) const {
  const auto boundary = files::boundary_of(raw.header("content-type"));
  if (!boundary) co_return boundary.error();
  files::FormReader form(*boundary, "file");
  const std::function<Result<files::Draft>()> begin = [this, &visitor] {
    return cabinet_->files.begin(visitor.tenant);
  };
  const auto draft = co_await take(raw, form, visitor.tenant, begin);
  if (!draft) co_return draft.error();

  files::File file{"", visitor.tenant, form.filename(), std::string(form.field("purpose")),
                   0,  unix_seconds(), std::nullopt};
  const auto known = files::check_purpose(file.purpose);
  if (!known) co_return known.error();
  const auto lifetime =
      files::read_expiry(form.field("expires_after[anchor]"), form.field("expires_after[seconds]"));
  if (!lifetime) co_return lifetime.error();
  if (*lifetime) file.expires = file.created + **lifetime;
  const std::function<Result<files::File>()> keep = [this, &draft, &file] {
    return cabinet_->files.keep(**draft, file);
  };
  const auto kept = co_await disk_.run_for_client(keep, visitor.tenant);
  if (!kept) co_return kept.error();
  co_return files::file_object(*kept);
}

// The form's file, on disk but not kept yet. Its content never is in memory, but for a piece.
Async<FileApi::SharedDraft> FileApi::take(
    http::Request& raw, files::FormReader& form, const std::string& tenant,
    const std::function<Result<files::Draft>()>& begin) const {
  const auto draft = co_await begin_draft(tenant, begin);
  if (!draft) co_return draft.error();
  std::string content;
  const std::function<Result<void>()> write = [&draft, &content] {
    return (*draft)->write(content);
  };
  bool more = true;
  while (more) {
    const auto piece = co_await raw.incoming->next();
    if (!piece) co_return piece.error();
    more = !piece->empty();
    const auto taken = form.take(*piece);
    if (!taken) co_return taken.error();
    content += *taken;
    if (more && content.size() < kPieceBytes) continue;
    const auto written = co_await disk_.run_for_client(write, tenant);
    if (!written) co_return written.error();
    content.clear();
  }
  const auto whole = form.check_whole();
  if (!whole) co_return whole.error();
  co_return *draft;
}

Async<FileApi::SharedDraft> FileApi::begin_draft(
    const std::string& tenant, const std::function<Result<files::Draft>()>& begin) const {
  const std::function<Result<SharedDraft>()> make = [this, &begin,
                                                     &tenant]() -> Result<SharedDraft> {
    auto draft = begin();
    if (!draft) return draft.error();
    return on_disk_thread(std::move(*draft), disk_, tenant);
  };
  co_return co_await disk_.run_for_client(make, tenant);
}

Async<std::string> FileApi::list(http::Request& raw, const Visitor& visitor) const {
  const auto query = list_query(raw);
  if (!query) co_return query.error();
  const std::function<Result<std::string>()> read = [&]() -> Result<std::string> {
    const auto page = cabinet_->files.list(visitor.tenant, *query, unix_seconds());
    if (!page) return page.error();
    return files::file_page(*page);
  };
  co_return co_await disk_.run_for_client(read, visitor.tenant);
}

Async<std::string> FileApi::retrieve(http::Request& raw, const Visitor& visitor) const {
  const std::function<Result<std::string>()> read = [&]() -> Result<std::string> {
    const auto file = cabinet_->files.find(visitor.tenant, raw.tail, unix_seconds());
    if (!file) return file.error();
    return files::file_object(*file);
  };
  co_return co_await disk_.run_for_client(read, visitor.tenant);
}

Async<std::string> FileApi::remove(http::Request& raw, const Visitor& visitor) const {
  const std::function<Result<std::string>()> work = [&]() -> Result<std::string> {
    const auto removed = cabinet_->files.remove(visitor.tenant, raw.tail, unix_seconds());
    if (!removed) return removed.error();
    return files::deleted_file(raw.tail);
  };
  co_return co_await disk_.run_to_free(work, visitor.tenant);
}

net::awaitable<void> FileApi::content(http::Request raw, http::ResponseWriter& out) const {
  co_await net::this_coro::throw_if_cancelled(false);
  auto visitor = reception_.admit(raw, out);
  if (!visitor) co_return co_await refuse(visitor.error(), out);
  const std::function<Result<Opened>()> open = [&]() -> Result<Opened> {
    auto about = cabinet_->files.find(visitor->tenant, raw.tail, unix_seconds());
    if (!about) return about.error();
    auto file = store::DiskFile::read(cabinet_->files.path_of(*about));
    if (!file) return file.error();
    return Opened{std::move(*about), std::make_shared<store::DiskFile>(std::move(*file))};
  };
  const auto opened = co_await disk_.run_for_client(open, visitor->tenant);
  if (!opened) {
    co_await refuse(opened.error(), out);
    co_return;
  }
  const auto admitted = reception_.admit_answer(raw, *visitor, opened->about.bytes, out);
  if (!admitted) co_return co_await refuse(admitted.error(), out);
  std::uint64_t at = 0;
  const std::function<Result<std::string>()> read = [&] {
    return opened->file->read_at(at, kPieceBytes);
  };
  (void)co_await out.begin_file("application/octet-stream", opened->about.bytes);
  while (at < opened->about.bytes) {
    auto piece = co_await disk_.run_for_client(read, visitor->tenant);
    if (!piece || piece->empty()) co_return;  // The connection is cut: no answer is better.
    at += piece->size();
    const auto written = co_await out.write(std::move(*piece));
    if (!written) co_return;
  }
  (void)co_await out.end(std::string());
}

Async<std::string> FileApi::begin_upload(http::Request& raw, const Visitor& visitor) const {
  auto asked = files::read_upload(raw.body);
  if (!asked) co_return asked.error();
  asked->tenant = visitor.tenant;
  asked->created = unix_seconds();
  const std::function<Result<std::string>()> work = [&]() -> Result<std::string> {
    const auto upload = cabinet_->uploads.create(*asked);
    if (!upload) return upload.error();
    return files::upload_object(*upload);
  };
  co_return co_await disk_.run_for_client(work, visitor.tenant);
}

Async<std::string> FileApi::add_part(http::Request& raw, const Visitor& visitor) const {
  const auto boundary = files::boundary_of(raw.header("content-type"));
  if (!boundary) co_return boundary.error();
  files::FormReader form(*boundary, "data");
  const std::function<Result<files::Draft>()> begin = [&] {
    return cabinet_->uploads.begin_part(visitor.tenant, raw.tail, unix_seconds());
  };
  const auto draft = co_await take(raw, form, visitor.tenant, begin);
  if (!draft) co_return draft.error();
  const std::function<Result<std::string>()> keep = [&]() -> Result<std::string> {
    const auto part =
        cabinet_->uploads.keep_part(**draft, visitor.tenant, raw.tail, unix_seconds());
    if (!part) return part.error();
    return files::part_object(*part);
  };
  co_return co_await disk_.run_for_client(keep, visitor.tenant);
}

Async<std::string> FileApi::complete(http::Request& raw, const Visitor& visitor) const {
  using Assembly = files::UploadStore::Assembly;
  const auto asked = files::read_completion(raw.body);
  if (!asked) co_return asked.error();
  std::shared_ptr<Assembly> assembly;
  const std::function<Result<void>()> begin = [&]() -> Result<void> {
    auto begun = cabinet_->uploads.assemble(visitor.tenant, raw.tail, asked->part_ids, asked->md5,
                                            unix_seconds());
    if (!begun) return begun.error();
    assembly = on_disk_thread(std::move(*begun), disk_, visitor.tenant);
    return {};
  };
  const auto begun = co_await disk_.run_for_client(begin, visitor.tenant);
  if (!begun) co_return begun.error();
  const std::function<Result<bool>()> copy = [&] { return assembly->step(); };
  Result<bool> copied = false;
  while (copied && !*copied) copied = co_await disk_.run_for_client(copy, visitor.tenant);
  if (!copied) co_return copied.error();
  const std::function<Result<std::string>()> finish = [&]() -> Result<std::string> {
    const auto upload = assembly->finish(unix_seconds());
    if (!upload) return upload.error();
    return files::upload_object(*upload);
  };
  co_return co_await disk_.run_for_client(finish, visitor.tenant);
}

Async<std::string> FileApi::cancel(http::Request& raw, const Visitor& visitor) const {
  const std::function<Result<std::string>()> work = [&]() -> Result<std::string> {
    const auto upload = cabinet_->uploads.cancel(visitor.tenant, raw.tail, unix_seconds());
    if (!upload) return upload.error();
    return files::upload_object(*upload);
  };
  co_return co_await disk_.run_to_free(work, visitor.tenant);
}

}  // namespace spillway
