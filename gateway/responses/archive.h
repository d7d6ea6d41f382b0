// The shelf as coroutines see it: what they ask is done on the disk's thread.
//
// Any thread. What it asks is opened before anybody asks it.
#pragma once

#include "backends/contract/backend.h"
#include "gateway/responses/conversations.h"
#include "gateway/responses/request.h"
#include "gateway/responses/shelf.h"
#include "gateway/store/disk_thread.h"
#include "gateway/wire/reading_room.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace spillway::responses {

// Held as long as what it was given for.
using Leave = std::shared_ptr<const void>;

// Leave to hold so many bytes for a tenant; an error: others are to come first.
using Enter = std::function<Result<Leave>(const std::string& tenant, std::uint64_t bytes)>;

// Of what a request may build on.
struct PastLimits {
  std::size_t bytes_max;  // With its own body.
  Enter enter;            // While it is answered,
  Enter remember;         // …and until the next turn of its connection.
};

class Archive {
 public:
  // All must outlive it.
  Archive(store::DiskThread& disk, std::unique_ptr<Shelf>& shelf,
          std::unique_ptr<Conversations>& conversations, PastLimits limits)
      : limits_(std::move(limits)), disk_(disk), shelf_(shelf), conversations_(conversations) {}
  virtual ~Archive() = default;

  Async<void> put(Kept response) const;
  Async<Kept> find(std::string tenant, std::string id) const;
  Async<std::string> transcript(std::string tenant, std::string id) const;
  Async<void> remove(std::string tenant, std::string id) const;

  // A turn has ended, whether it is put here or not.
  virtual void ended(const Kept& turn) { (void)turn; }

  // What a turn goes on from: a response or a conversation, and the items that it names.
  struct From {
    std::string previous;
    std::string conversation;
    std::vector<Reference> references;
    std::size_t bytes = 0;              // Of its own body.
    wire::ReadingRoom* room = nullptr;  // Where what is large is read.
  };

  // The lists of items before a turn, the oldest first, and the items that it names, in their
  // order; empty where one is not kept that need not be. invalid_request if something else is not
  // kept, context_too_long if they are more than may be built on, overloaded while others hold all
  // that may be held.
  struct Past {
    std::vector<std::string> turns;
    std::vector<std::string> referenced;
    std::string told;  // The last item of the conversation; empty if it has none.
    Leave leave;       // For as long as anything that was made of them is held.
  };
  virtual Async<Past> past(std::string tenant, From from);

  // A page of the items that led to a response, its own input the newest: the page's object.
  Async<std::string> input_items(std::string tenant, std::string id, ItemPage page) const;

  // What a turn adds to a conversation: lists of items, whose ids are made of `turn`.
  Async<void> add_turn(std::string tenant, std::string id, std::vector<std::string> lists,
                       std::string turn) const;

  static std::size_t bytes_of(const std::vector<std::string>& lists);

 protected:
  // As `past`, and nobody has asked for leave. `admit` does.
  Async<Past> collected(std::string tenant, From from) const;
  Result<void> admit(const std::string& tenant, const From& from, Past& past) const;

  const PastLimits limits_;

 private:
  Async<ItemList> conversation(std::string tenant, std::string id) const;
  Async<std::vector<std::string>> turns(std::string tenant, std::string previous,
                                        wire::ReadingRoom* room) const;
  Async<std::vector<std::string>> referenced(std::string tenant, std::vector<Reference> references,
                                             wire::ReadingRoom* room) const;

  store::DiskThread& disk_;
  std::unique_ptr<Shelf>& shelf_;
  std::unique_ptr<Conversations>& conversations_;
};

}  // namespace spillway::responses
