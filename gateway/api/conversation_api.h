// /v1/conversations and their items.
//
// Its handlers run on any worker; what touches the disk runs on the disk's thread.
#pragma once

#include "gateway/api/object_handler.h"
#include "gateway/http/routes.h"
#include "gateway/responses/conversations.h"
#include "gateway/store/disk_thread.h"

#include <memory>
#include <string>

namespace spillway {

class ConversationApi {
 public:
  // All must outlive it. `shelf` may still be empty until the listener starts.
  ConversationApi(const Reception& reception, store::DiskThread& disk,
                  const std::unique_ptr<responses::Conversations>& shelf)
      : reception_(reception), disk_(disk), shelf_(shelf) {}

  // Requires: this outlives the routes.
  void add_to(http::Routes& routes) const;

 private:
  using Work = Async<std::string> (ConversationApi::*)(http::Request&, const Visitor&) const;

  Async<std::string> create(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> retrieve(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> update(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> remove(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> add_items(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> list_items(http::Request& raw, const Visitor& visitor) const;

  http::Handler handle(Work work) const;
  Async<std::string> told(std::string tenant, std::string id) const;
  Async<std::string> item(std::string tenant, std::string id, std::string item_id) const;

  const Reception& reception_;
  store::DiskThread& disk_;
  const std::unique_ptr<responses::Conversations>& shelf_;
};

}  // namespace spillway
