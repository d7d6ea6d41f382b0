// GET, POST and DELETE of /v1/chat/completions and below it: answers that were asked for with
// `store: true`.
//
// Its handlers run on any worker; what touches the disk runs on the disk's thread.
#pragma once

#include "gateway/api/object_handler.h"
#include "gateway/http/routes.h"
#include "gateway/store/disk_thread.h"
#include "gateway/stored/chat_store.h"

#include <memory>
#include <string>

namespace spillway {

class StoredChats final : public wire::ChatShelf {
 public:
  // All must outlive it. `store` may still be empty until the listener starts.
  StoredChats(const Reception& reception, store::DiskThread& disk,
              const std::unique_ptr<stored::ChatStore>& store)
      : reception_(reception), disk_(disk), store_(store) {}

  // Requires: this outlives the routes.
  void add_to(http::Routes& routes) const;

  Async<void> put(wire::KeptChat chat) override;

 private:
  using Work = Async<std::string> (StoredChats::*)(http::Request&, const Visitor&) const;

  Async<std::string> list(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> retrieve(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> update(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> remove(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> messages(http::Request& raw, const Visitor& visitor) const;

  http::Handler handle(Work work) const;
  Async<wire::KeptChat> find(const http::Request& raw, const Visitor& visitor) const;

  const Reception& reception_;
  store::DiskThread& disk_;
  const std::unique_ptr<stored::ChatStore>& store_;
};

}  // namespace spillway
