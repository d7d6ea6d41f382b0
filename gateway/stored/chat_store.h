// The stored chat completions, in a database of their own.
//
// On the disk's thread once opened. Each tenant sees its own; what is older than 30 days is gone,
// and the oldest of a tenant that has more than it may.
#pragma once

#include "gateway/store/database.h"
#include "gateway/wire/kept_chat.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway::stored {

struct ChatQuery {
  std::string after;  // The id of the last one seen; empty: from the beginning.
  std::string model;  // Empty: any.
  std::vector<std::pair<std::string, std::string>> metadata;  // All of these.
  bool newest_first = false;
  int limit = 20;
};

struct ChatPage {
  std::vector<wire::KeptChat> chats;
  bool has_more = false;
};

class ChatStore {
 public:
  // Of the file, created if it is not there. `tenant_max`: bytes of one tenant's.
  static Result<std::unique_ptr<ChatStore>> open(const std::string& path,
                                                 std::int64_t tenant_max = 256LL << 20);

  Result<void> put(const wire::KeptChat& chat, std::int64_t now);

  // not_found if the tenant has none of that id.
  Result<wire::KeptChat> find(const std::string& tenant, const std::string& id, std::int64_t now);
  Result<void> remove(const std::string& tenant, const std::string& id);
  Result<void> set_metadata(const std::string& tenant, const std::string& id,
                            const std::string& metadata);

  // invalid_request: `after` is none of the tenant's, nor was of late.
  Result<ChatPage> list(const std::string& tenant, const ChatQuery& query, std::int64_t now);

  // What is too old goes.
  Result<void> expire(std::int64_t now);

 private:
  ChatStore(store::Database database, std::int64_t tenant_max)
      : database_(std::move(database)), tenant_max_(tenant_max) {}

  Result<std::optional<std::int64_t>> place_of(const std::string& tenant, const std::string& id);
  Result<std::int64_t> place_behind(const std::string& tenant, const ChatQuery& query);
  Result<void> make_room(const std::string& tenant);
  Result<int> forget(store::Statement& gone);

  store::Database database_;
  const std::int64_t tenant_max_;
  std::map<std::string, std::int64_t> bytes_;  // Of each tenant.
};

}  // namespace spillway::stored
