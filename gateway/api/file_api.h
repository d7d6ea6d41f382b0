// /v1/files and /v1/uploads: between HTTP and gateway/files.
//
// Its handlers run on any worker; what touches the disk runs on the disk's thread, and a file's
// content passes through in pieces both ways.
#pragma once

#include "gateway/api/object_handler.h"
#include "gateway/files/cabinet.h"
#include "gateway/files/form.h"
#include "gateway/http/routes.h"
#include "gateway/store/disk_thread.h"

#include <functional>
#include <memory>
#include <string>

namespace spillway {

class FileApi {
 public:
  // All must outlive it. `cabinet` may still be empty until the listener starts.
  FileApi(const Reception& reception, store::DiskThread& disk,
          const std::unique_ptr<files::Cabinet>& cabinet, files::Limits limits)
      : reception_(reception), disk_(disk), cabinet_(cabinet), limits_(limits) {}

  // Requires: this outlives the routes.
  void add_to(http::Routes& routes) const;

 private:
  using SharedDraft = std::shared_ptr<files::Draft>;
  using Work = Async<std::string> (FileApi::*)(http::Request&, const Visitor&) const;

  Async<std::string> create(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> list(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> retrieve(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> remove(http::Request& raw, const Visitor& visitor) const;
  boost::asio::awaitable<void> content(http::Request raw, http::ResponseWriter& out) const;

  Async<std::string> begin_upload(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> add_part(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> complete(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> cancel(http::Request& raw, const Visitor& visitor) const;

  http::Handler handle(Work work) const;
  Async<SharedDraft> take(http::Request& raw, files::FormReader& form, const std::string& tenant,
                          const std::function<Result<files::Draft>()>& begin) const;
  Async<SharedDraft> begin_draft(const std::string& tenant,
                                 const std::function<Result<files::Draft>()>& begin) const;

  const Reception& reception_;
  store::DiskThread& disk_;
  const std::unique_ptr<files::Cabinet>& cabinet_;
  const files::Limits limits_;
};

}  // namespace spillway
