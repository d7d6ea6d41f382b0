// /v1/batches: between HTTP, gateway/batch and the runner.
//
// Its handlers run on any worker; what touches the disk runs on the disk's thread.
#pragma once

#include "gateway/api/object_handler.h"
#include "gateway/background/batch_runner.h"
#include "gateway/batch/batch_store.h"
#include "gateway/files/cabinet.h"
#include "gateway/http/routes.h"
#include "gateway/store/disk_thread.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spillway {

class BatchApi {
 public:
  // All must outlive it; stores and runner may still be empty until the listener starts.
  struct Doors {
    const Reception& reception;
    store::DiskThread& disk;
    const std::unique_ptr<files::Cabinet>& cabinet;
    const std::unique_ptr<batch::BatchStore>& batches;
    std::optional<BatchRunner>& runner;
  };

  // `endpoints` are those whose requests may stand in a batch.
  BatchApi(Doors doors, std::vector<std::string> endpoints)
      : doors_(doors), endpoints_(std::move(endpoints)) {}

  // Requires: this outlives the routes.
  void add_to(http::Routes& routes) const;

 private:
  using Work = Async<std::string> (BatchApi::*)(http::Request&, const Visitor&) const;

  Async<std::string> create(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> list(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> retrieve(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> cancel(http::Request& raw, const Visitor& visitor) const;

  http::Handler handle(Work work) const;
  Result<void> check_class(const Visitor& visitor) const;
  Result<batch::Batch> keep(batch::Batch asked, int pending_max) const;

  const Doors doors_;
  const std::vector<std::string> endpoints_;
};

}  // namespace spillway
