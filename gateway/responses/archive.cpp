#include "gateway/responses/archive.h"

#include "gateway/responses/response_object.h"
#include "gateway/wall_clock.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

// An item's id names its response: "msg_" TURN "_0".
std::string response_of(const std::string& item_id) {
  const auto from = item_id.find('_'), to = item_id.rfind('_');
  if (from == item_id.npos || to <= from) return {};
  return response_id(item_id.substr(from + 1, to - from - 1));
}

Result<std::string> find_item(Shelf& shelf, const std::string& tenant, const std::string& id) {
  const auto kept = shelf.find(tenant, response_of(id), unix_seconds());
  if (kept) {
    for (const auto& list :
         {ordered_json::parse(kept->body)["output"], ordered_json::parse(kept->input)}) {
      for (const ordered_json& item : list) {
        if (item.value("id", "") == id) return text_of(item);
      }
    }
  }
  return Error{Errc::invalid_request, "Item with id '" + id + "' not found.", "input",
               std::nullopt};
}

}  // namespace

Async<void> Archive::put(Kept response) const {
  std::function<Result<void>()> work = [shelf = shelf_.get(), response = std::move(response)] {
    return shelf->put(response, unix_seconds());
  };
  co_return co_await disk_.run_for_client(std::move(work));
}

Async<Kept> Archive::find(std::string tenant, std::string id) const {
  std::function<Result<Kept>()> work = [shelf = shelf_.get(), tenant, id] {
    return shelf->find(tenant, id, unix_seconds());
  };
  co_return co_await disk_.run_for_client(std::move(work));
}

Async<void> Archive::remove(std::string tenant, std::string id) const {
  std::function<Result<void>()> work = [shelf = shelf_.get(), tenant, id] {
    return shelf->remove(tenant, id);
  };
  co_return co_await disk_.run_for_client(std::move(work));
}

Async<Archive::Past> Archive::past(std::string tenant, std::string previous,
                                   std::vector<std::string> references) {
  if (previous.empty() && references.empty()) co_return Past();
  std::function<Result<Past>()> work = [shelf = shelf_.get(), tenant, previous,
                                        references]() -> Result<Past> {
    Past past;
    if (!previous.empty()) {
      auto turns = shelf->turns(tenant, previous, unix_seconds());
      if (!turns) {
        Error error = turns.error();
        if (error.code != Errc::not_found) return error;
        error.code = Errc::invalid_request;
        error.message = "Previous response with id '" + previous + "' not found.";
        error.param = "previous_response_id";
        error.kind = "previous_response_not_found";
        return error;
      }
      past.turns = std::move(*turns);
    }
    for (const std::string& id : references) {
      auto item = find_item(*shelf, tenant, id);
      if (!item) return item.error();
      past.referenced.push_back(std::move(*item));
    }
    return past;
  };
  co_return co_await disk_.run_for_client(std::move(work));
}

}  // namespace spillway::responses
