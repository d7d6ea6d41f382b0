#include "gateway/responses/past_page.h"

#include "gateway/responses/stored.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace spillway::responses {
namespace {

constexpr std::size_t kTurnsMax = 10'000;

bool is_gone(const Error& error) { return error.code == Errc::not_found; }

}  // namespace

PastPage::PastPage(Shelf& shelf, Conversations& conversations, std::string tenant,
                   std::string response, ItemPage page)
    : shelf_(shelf),
      conversations_(conversations),
      tenant_(std::move(tenant)),
      page_(std::move(page)),
      response_(std::move(response)),
      next_(page_.newest_first ? Next::turn : Next::first),
      at_(response_),
      found_(page_.after.empty()) {}

Result<void> PastPage::read(std::int64_t now) {
  if (next_ == Next::conversation) return read_conversation(now);
  if (page_.newest_first) return read_back(now);
  return next_ == Next::first ? look_for_first(now) : read_forth(now);
}

Result<bool> PastPage::take_in() try {
  if (turn_) take_turn(*turn_);
  if (list_) found_ = true;  // It begins behind that item.
  if (list_) add(elements_of(*list_));
  turn_.reset();
  list_.reset();
  return is_full() || next_ == Next::nothing ? end() : Result<bool>(false);
} catch (const std::exception&) {
  return Error{Errc::internal, "What is stored cannot be read.", "", std::nullopt};
}

Result<void> PastPage::read_back(std::int64_t now) {
  auto turn = shelf_.find(tenant_, at_, now);
  if (!turn && (!is_gone(turn.error()) || at_ == response_)) return turn.error();
  if (!turn) {
    next_ = Next::nothing;
    return {};
  }
  turns_.push_back(std::exchange(at_, turn->previous));
  if (at_.empty() || turns_.size() == kTurnsMax) lead_to(*turn);
  turn_ = std::move(*turn);
  return {};
}

Result<void> PastPage::look_for_first(std::int64_t now) {
  const auto turn = shelf_.place_of(tenant_, at_, now);
  if (!turn && (!is_gone(turn.error()) || at_ == response_)) return turn.error();
  if (turn) turns_.push_back(std::exchange(at_, turn->previous));
  if (!turn) next_ = Next::turn;
  if (turn && (at_.empty() || turns_.size() == kTurnsMax)) lead_to(*turn);
  return {};
}

Result<void> PastPage::read_forth(std::int64_t now) {
  if (turns_.empty()) {
    next_ = Next::nothing;
    return {};
  }
  auto turn = shelf_.find(tenant_, turns_.back(), now);
  turns_.pop_back();
  if (!turn) return is_gone(turn.error()) ? Result<void>() : turn.error();
  turn_ = std::move(*turn);
  return {};
}

// What the first turn went on from.
void PastPage::lead_to(const Kept& first) {
  next_ = Next::conversation;
  conversation_ = first.conversation;
  told_ = first.told;
}

Result<void> PastPage::read_conversation(std::int64_t now) {
  next_ = page_.newest_first ? Next::nothing : Next::turn;
  if (conversation_.empty() || told_.empty()) return {};
  const ItemPage rest{page_.limit - count_, page_.newest_first, found_ ? "" : page_.after};
  auto list = conversations_.page(tenant_, conversation_, rest, now, told_);
  const bool is_elsewhere = !list && !found_ && list.error().code == Errc::invalid_request;
  if (!list && (is_gone(list.error()) || is_elsewhere)) return {};
  if (!list) return list.error();
  list_ = std::move(*list);
  return {};
}

Result<bool> PastPage::end() const {
  if (found_) return true;
  return Error{Errc::invalid_request, "'after' names no item that led to this response", "after",
               std::nullopt};
}

// Its own input is the newest.
void PastPage::take_turn(const Kept& turn) {
  const std::string output = turn.id == response_ ? "[]" : output_of(turn.body);
  take(page_.newest_first ? output : turn.input);
  take(page_.newest_first ? turn.input : output);
}

void PastPage::take(std::string_view list) {
  std::vector<std::string_view> items = elements_of(list);
  if (page_.newest_first) std::reverse(items.begin(), items.end());
  add(items);
}

void PastPage::add(const std::vector<std::string_view>& items) {
  for (const std::string_view item : items) {
    if (is_full()) return;
    if (found_) {
      items_.append(items_.empty() ? "[" : ",").append(item);
      ++count_;
    } else {
      found_ = has_id(item, page_.after);
    }
  }
}

}  // namespace spillway::responses
