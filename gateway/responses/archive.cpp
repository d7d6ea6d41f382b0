#include "gateway/responses/archive.h"

#include "gateway/responses/conversation.h"
#include "gateway/responses/past_page.h"
#include "gateway/responses/response_object.h"
#include "gateway/responses/stored.h"
#include "gateway/wall_clock.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <functional>
#include <numeric>
#include <set>
#include <unordered_map>
#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

constexpr std::chrono::milliseconds kReadsFor{5};  // Before others have their turn.
constexpr std::size_t kSoughtMax = 1'000;          // Responses whose items need not be kept.
constexpr std::size_t kTimesHeld = 2;  // As it is told to a target, and as it is measured here.

// An item's id names its response: "msg_" TURN "_0".
std::string response_of(const std::string& item_id) {
  const auto from = item_id.find('_'), to = item_id.rfind('_');
  if (from == item_id.npos || to <= from) return {};
  return response_id(item_id.substr(from + 1, to - from - 1));
}

Error too_many(std::size_t bytes_max) {
  return {Errc::context_too_long,
          "The items that the input names have more than " + std::to_string(bytes_max) +
              " bytes together. Name fewer.",
          "input", std::nullopt};
}

Error too_large_with_body(const Archive::From& from, std::size_t bytes_max) {
  const char* const param = !from.previous.empty()       ? "previous_response_id"
                            : !from.conversation.empty() ? "conversation"
                                                         : "input";
  return {Errc::context_too_long,
          "What this request goes on from has, together with its own body, more than " +
              std::to_string(bytes_max) +
              " bytes. Send less, or begin another conversation, with what matters of this one.",
          param, std::nullopt};
}

// All turns up to a response, the oldest first, and what the first of them was told of its
// conversation, a list; empty if it was in none.
struct Chain {
  std::string told;
  std::vector<Kept> turns;
};

Result<Chain> chain_up_to(Shelf& shelf, Conversations& conversations, const std::string& tenant,
                          const std::string& id, std::size_t bytes_max) {
  auto turns = shelf.turns(tenant, id, unix_seconds(), bytes_max);
  if (!turns) return turns.error();
  Chain chain{"", std::move(*turns)};
  const Kept& first = chain.turns.front();
  if (first.conversation.empty()) return chain;
  auto told = conversations.items_up_to(tenant, first.conversation, first.told, unix_seconds());
  if (!told) return told.error();
  std::size_t bytes = told->size();
  for (const Kept& turn : chain.turns) bytes += size_of(turn);
  if (bytes > bytes_max) return conversation_too_large(id, bytes_max);
  chain.told = std::move(*told);
  return chain;
}

// The responses of those items, as far as they are kept: each once, however often it is named. Of
// what need not be kept only the latest, as far as there is room.
Result<std::vector<Kept>> find_all(Shelf& shelf, const std::string& tenant,
                                   const std::vector<Reference>& references,
                                   std::size_t bytes_max) {
  std::set<std::string> asked;
  std::vector<Kept> all;
  std::size_t bytes = 0;
  for (auto reference = references.rbegin(); reference != references.rend(); ++reference) {
    if (!reference->must_be_kept && asked.size() >= kSoughtMax) continue;
    const std::string id = response_of(reference->id);
    if (!asked.insert(id).second) continue;
    auto kept = shelf.find(tenant, id, unix_seconds());
    if (!kept && kept.error().code != Errc::not_found) return kept.error();
    if (!kept) continue;
    const bool has_room = bytes + size_of(*kept) <= bytes_max;
    if (!has_room && reference->must_be_kept) return too_many(bytes_max);
    if (!has_room) continue;
    bytes += size_of(*kept);
    all.push_back(std::move(*kept));
  }
  return all;
}

std::vector<std::string> lists_of(Chain chain) {
  std::vector<std::string> lists;
  if (!chain.told.empty()) lists.push_back(std::move(chain.told));
  for (Kept& turn : chain.turns) {
    lists.push_back(std::move(turn.input));
    lists.push_back(output_of(turn.body));
  }
  return lists;
}

// The items' texts, in the order of `references`.
Result<std::vector<std::string>> items_in(const std::vector<Kept>& responses,
                                          const std::vector<Reference>& references,
                                          std::size_t bytes_max) {
  std::unordered_map<std::string, std::string> texts;
  for (const Reference& reference : references) texts.try_emplace(reference.id);
  for (const Kept& response : responses) {
    for (const std::string& list : {output_of(response.body), response.input}) {
      for (const ordered_json& item : ordered_json::parse(list)) {
        const auto text = texts.find(text_in(item, "id"));
        const bool is_wanted = text != texts.end() && response_of(text->first) == response.id;
        if (is_wanted && text->second.empty()) text->second = text_of(item);
      }
    }
  }
  std::vector<std::string> items;
  std::size_t bytes = 0;
  for (const Reference& reference : references) {
    const std::string& text = texts.at(reference.id);
    if (text.empty() && reference.must_be_kept)
      return Error{Errc::invalid_request, "Item with id '" + reference.id + "' not found.", "input",
                   std::nullopt};
    const bool has_room = bytes + text.size() <= bytes_max;
    if (!has_room && reference.must_be_kept) return too_many(bytes_max);
    bytes += has_room ? text.size() : 0;
    items.push_back(has_room ? text : "");
  }
  return items;
}

}  // namespace

Async<void> Archive::put(Kept response) const {
  std::string whose = response.tenant;
  std::function<Result<void>()> work = [shelf = shelf_.get(), response = std::move(response)] {
    return shelf->put(response, unix_seconds());
  };
  co_return co_await disk_.run_for_client(std::move(work), std::move(whose));
}

Async<Kept> Archive::find(std::string tenant, std::string id) const {
  std::function<Result<Kept>()> work = [shelf = shelf_.get(), tenant, id] {
    return shelf->find(tenant, id, unix_seconds());
  };
  co_return co_await disk_.run_for_client(std::move(work), std::move(tenant));
}

Async<std::string> Archive::transcript(std::string tenant, std::string id) const {
  std::function<Result<std::string>()> work = [shelf = shelf_.get(), tenant, id] {
    return shelf->transcript(tenant, id, unix_seconds());
  };
  co_return co_await disk_.run_for_client(std::move(work), std::move(tenant));
}

Async<void> Archive::remove(std::string tenant, std::string id) const {
  std::function<Result<void>()> work = [shelf = shelf_.get(), tenant, id] {
    return shelf->remove(tenant, id);
  };
  co_return co_await disk_.run_to_free(std::move(work), std::move(tenant));
}

Async<ItemList> Archive::conversation(std::string tenant, std::string id) const {
  std::function<Result<ItemList>()> work = [all = conversations_.get(), tenant, id] {
    return all->items(tenant, id, unix_seconds());
  };
  co_return co_await disk_.run_for_client(std::move(work), std::move(tenant));
}

Async<void> Archive::add_turn(std::string tenant, std::string id, std::vector<std::string> lists,
                              std::string turn) const {
  std::function<Result<void>()> work = [all = conversations_.get(), tenant, id,
                                        items = items_of_turn(lists, turn)] {
    return all->add(tenant, id, items, unix_seconds());
  };
  co_return co_await disk_.run_for_client(std::move(work), std::move(tenant));
}

Async<Archive::Past> Archive::past(std::string tenant, From from) {
  From asked = from;
  auto past = co_await collected(tenant, std::move(asked));
  if (!past) co_return past.error();
  const auto admitted = admit(tenant, from, *past);
  if (!admitted) co_return admitted.error();
  co_return std::move(*past);
}

std::size_t Archive::bytes_of(const std::vector<std::string>& lists) {
  return std::accumulate(
      lists.begin(), lists.end(), std::size_t{0},
      [](std::size_t sum, const std::string& list) { return sum + list.size(); });
}

Result<void> Archive::admit(const std::string& tenant, const From& from, Past& past) const {
  const std::size_t bytes = bytes_of(past.turns) + bytes_of(past.referenced);
  if (bytes == 0) return {};
  if (bytes + from.bytes > limits_.bytes_max) return too_large_with_body(from, limits_.bytes_max);
  auto leave = limits_.enter(tenant, kTimesHeld * bytes);
  if (!leave) return leave.error();
  past.leave = std::move(*leave);
  return {};
}

Async<Archive::Past> Archive::collected(std::string tenant, From from) const {
  Past past;
  if (!from.previous.empty()) {
    auto lists = co_await turns(tenant, std::move(from.previous), from.room);
    if (!lists) co_return lists.error();
    past.turns = std::move(*lists);
  }
  if (!from.conversation.empty()) {
    auto list = co_await conversation(tenant, std::move(from.conversation));
    if (!list) co_return list.error();
    past.turns.push_back(std::move(list->items));
    past.told = std::move(list->last);
  }
  if (!from.references.empty()) {
    auto items = co_await referenced(std::move(tenant), std::move(from.references), from.room);
    if (!items) co_return items.error();
    past.referenced = std::move(*items);
  }
  co_return past;
}

Async<std::string> Archive::input_items(std::string tenant, std::string id, ItemPage page) const {
  const int limit = page.limit;
  const auto past =
      std::make_shared<PastPage>(*shelf_, *conversations_, tenant, std::move(id), std::move(page));
  const std::function<Result<void>()> read = [past]() -> Result<void> {
    const auto until = SteadyClock::now() + kReadsFor;
    auto done = past->read(unix_seconds());
    while (done && !past->has_read() && SteadyClock::now() < until)
      done = past->read(unix_seconds());
    return done;
  };
  Result<bool> whole = false;
  while (whole && !*whole) {
    const auto done = co_await disk_.run_for_client(read, tenant);
    whole = done ? past->take_in() : Result<bool>(done.error());
  }
  if (!whole) co_return whole.error();
  co_return items_page(past->list(), limit);
}

// The disk's thread reads; what is read is parsed by who asked for it, or where large texts are.
Async<std::vector<std::string>> Archive::turns(std::string tenant, std::string previous,
                                               wire::ReadingRoom* room) const {
  std::function<Result<Chain>()> work = [shelf = shelf_.get(), all = conversations_.get(), tenant,
                                         previous, bytes_max = limits_.bytes_max] {
    return chain_up_to(*shelf, *all, tenant, previous, bytes_max);
  };
  auto chain = co_await disk_.run_for_client(std::move(work), tenant);
  if (!chain) {
    Error error = chain.error();
    if (error.code != Errc::not_found) co_return error;
    error.code = Errc::invalid_request;
    error.message = "Previous response with id '" + previous + "' not found.";
    error.param = "previous_response_id";
    error.kind = "previous_response_not_found";
    co_return error;
  }
  std::size_t bytes = 0;
  for (const Kept& turn : chain->turns) bytes += turn.body.size();
  std::function<Result<std::vector<std::string>>()> read = [&chain] {
    return lists_of(std::move(*chain));
  };
  co_return co_await wire::read_in(room, std::move(tenant), bytes, std::move(read));
}

Async<std::vector<std::string>> Archive::referenced(std::string tenant,
                                                    std::vector<Reference> references,
                                                    wire::ReadingRoom* room) const {
  std::function<Result<std::vector<Kept>>()> work = [shelf = shelf_.get(), tenant, references,
                                                     bytes_max = limits_.bytes_max] {
    return find_all(*shelf, tenant, references, bytes_max);
  };
  auto responses = co_await disk_.run_for_client(std::move(work), tenant);
  if (!responses) co_return responses.error();
  std::size_t bytes = 0;
  for (const Kept& response : *responses) bytes += size_of(response);
  std::function<Result<std::vector<std::string>>()> read = [&, this] {
    return items_in(*responses, references, limits_.bytes_max);
  };
  co_return co_await wire::read_in(room, std::move(tenant), bytes, std::move(read));
}

}  // namespace spillway::responses
