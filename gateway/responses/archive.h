// The shelf as coroutines see it: what they ask is done on the disk's thread.
//
// Any thread. The shelf is opened before anybody asks.
#pragma once

#include "backends/contract/backend.h"
#include "gateway/responses/shelf.h"
#include "gateway/store/disk_thread.h"

#include <memory>
#include <string>
#include <vector>

namespace spillway::responses {

class Archive {
 public:
  // Both must outlive it.
  Archive(store::DiskThread& disk, std::unique_ptr<Shelf>& shelf) : disk_(disk), shelf_(shelf) {}
  virtual ~Archive() = default;

  Async<void> put(Kept response) const;
  Async<Kept> find(std::string tenant, std::string id) const;
  Async<void> remove(std::string tenant, std::string id) const;

  // A turn has ended, whether it is put here or not.
  virtual void ended(const Kept& turn) { (void)turn; }

  // The items of the turns up to `previous`, if it is not empty, and the items named by
  // `references`, in their order. invalid_request if something is not kept.
  struct Past {
    std::vector<std::string> turns;
    std::vector<std::string> referenced;
  };
  virtual Async<Past> past(std::string tenant, std::string previous,
                           std::vector<std::string> references);

 private:
  store::DiskThread& disk_;
  std::unique_ptr<Shelf>& shelf_;
};

}  // namespace spillway::responses
