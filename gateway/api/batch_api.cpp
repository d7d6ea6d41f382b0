#include "gateway/api/batch_api.h"

#include "gateway/batch/batch_json.h"
#include "gateway/wall_clock.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace spillway {
namespace {

constexpr int kPage = 20;
constexpr int kPageMax = 100;

Error invalid(Errc code, std::string why, std::string param) {
  return Error{code, std::move(why), std::move(param), std::nullopt};
}

}  // namespace

void BatchApi::add_to(http::Routes& routes) const {
  routes.add("POST", "/v1/batches", handle(&BatchApi::create));
  routes.add("GET", "/v1/batches", handle(&BatchApi::list));
  routes.add("GET", "/v1/batches/{id}", handle(&BatchApi::retrieve));
  routes.add("POST", "/v1/batches/{id}/cancel", handle(&BatchApi::cancel));
}

http::Handler BatchApi::handle(Work work) const {
  return object_handler(doors_.reception, std::bind_front(work, this));
}

Async<std::string> BatchApi::create(http::Request& raw, const Visitor& visitor) const {
  const auto allowed = check_class(visitor);
  if (!allowed) co_return allowed.error();
  auto asked = batch::read_batch(raw.body, endpoints_);
  if (!asked) co_return asked.error();
  asked->tenant = visitor.tenant;
  asked->key_name = visitor.key_name;
  asked->created = unix_seconds();
  const config::Batches& settings = visitor.edition->settings->batch;
  asked->expires =
      asked->created + std::chrono::ceil<std::chrono::seconds>(settings.window).count();
  const std::function<Result<batch::Batch>()> work = [&] {
    return keep(*asked, settings.pending_max);
  };
  auto made = co_await doors_.disk.run_for_client(work, visitor.tenant);
  if (!made) co_return made.error();
  std::string told = batch::batch_object(*made);
  doors_.runner->take(std::move(*made));
  co_return told;
}

// A key may be kept from batches by leaving their class out of those it may name.
Result<void> BatchApi::check_class(const Visitor& visitor) const {
  const std::string& name = visitor.edition->settings->batch.request_class;
  const config::Key* const key = visitor.caller.key;
  if (key == nullptr || name.empty()) return {};
  const auto& classes = key->classes;
  if (classes.empty() || std::find(classes.begin(), classes.end(), name) != classes.end())
    return {};
  return invalid(Errc::forbidden, "this key may not choose the class of batches, " + name, "");
}

// On the disk's thread.
Result<batch::Batch> BatchApi::keep(batch::Batch asked, int pending_max) const {
  const auto pending = doors_.batches->pending(asked.tenant);
  if (!pending) return pending.error();
  if (*pending >= pending_max) {
    return invalid(Errc::rate_limited,
                   std::to_string(*pending) +
                       " batches have not ended, as many as may be: wait for "
                       "one of them or cancel it",
                   "");
  }
  auto& files = doors_.cabinet->files;
  const auto input = files.find(asked.tenant, asked.input_file, asked.created);
  if (!input && input.error().code == Errc::not_found)
    return invalid(Errc::not_found, input.error().message, "input_file_id");
  if (!input) return input.error();
  if (input->purpose != "batch") {
    return invalid(Errc::invalid_request,
                   "the file has the purpose " + input->purpose + ", not batch", "input_file_id");
  }
  return doors_.batches->create(std::move(asked), files.path_of(*input));
}

Async<std::string> BatchApi::list(http::Request& raw, const Visitor& visitor) const {
  const auto limit = page_limit(raw, kPage, kPageMax);
  if (!limit) co_return limit.error();
  const std::string after = raw.parameter("after");
  const std::function<Result<std::string>()> read = [&]() -> Result<std::string> {
    const auto page = doors_.batches->list(visitor.tenant, *limit, after);
    if (!page) return page.error();
    return batch::batch_page(*page);
  };
  co_return co_await doors_.disk.run_for_client(read, visitor.tenant);
}

Async<std::string> BatchApi::retrieve(http::Request& raw, const Visitor& visitor) const {
  const std::function<Result<std::string>()> read = [&]() -> Result<std::string> {
    const auto batch = doors_.batches->find(visitor.tenant, raw.tail);
    if (!batch) return batch.error();
    return batch::batch_object(*batch);
  };
  co_return co_await doors_.disk.run_for_client(read, visitor.tenant);
}

Async<std::string> BatchApi::cancel(http::Request& raw, const Visitor& visitor) const {
  const std::function<Result<std::string>()> work = [&]() -> Result<std::string> {
    const auto batch = doors_.batches->cancel(visitor.tenant, raw.tail, unix_seconds());
    if (!batch) return batch.error();
    return batch::batch_object(*batch);
  };
  auto told = co_await doors_.disk.run_to_free(work, visitor.tenant);
  if (told) doors_.runner->cancel(raw.tail);
  co_return told;
}

}  // namespace spillway
