#include "gateway/responses/past_page.h"

#include "gateway/responses/stored.h"

#include <algorithm>
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
      at_(response_),
      found_(page_.after.empty()) {}

Result<bool> PastPage::step(std::int64_t now) {
  return page_.newest_first ? step_back(now) : step_forth(now);
}

Result<bool> PastPage::step_back(std::int64_t now) {
  const auto turn = shelf_.find(tenant_, at_, now);
  if (!turn && is_gone(turn.error()) && at_ != response_) return end();
  if (!turn) return turn.error();
  if (at_ != response_) take(output_of(turn->body));
  take(turn->input);
  turns_.push_back(std::exchange(at_, turn->previous));
  if (is_full()) return true;
  if (!at_.empty() && turns_.size() < kTurnsMax) return false;
  const auto taken = take_conversation(*turn, now);
  return taken ? end() : Result<bool>(taken.error());
}

Result<bool> PastPage::step_forth(std::int64_t now) {
  if (!forth_) {
    const auto looked = look_for_first(now);
    return looked ? Result<bool>(false) : Result<bool>(looked.error());
  }
  if (is_full() || turns_.empty()) return end();
  const auto turn = shelf_.find(tenant_, turns_.back(), now);
  turns_.pop_back();
  if (!turn && is_gone(turn.error())) return false;
  if (!turn) return turn.error();
  take(turn->input);
  if (turn->id != response_) take(output_of(turn->body));
  return false;
}

Result<void> PastPage::look_for_first(std::int64_t now) {
  auto turn = shelf_.place_of(tenant_, at_, now);
  if (!turn && (!is_gone(turn.error()) || at_ == response_)) return turn.error();
  if (turn) turns_.push_back(std::exchange(at_, turn->previous));
  forth_ = !turn || at_.empty() || turns_.size() == kTurnsMax;
  return turn && forth_ ? take_conversation(*turn, now) : Result<void>();
}

Result<void> PastPage::take_conversation(const Kept& first, std::int64_t now) {
  if (first.conversation.empty() || first.told.empty()) return {};
  const ItemPage rest{page_.limit - count_, page_.newest_first, found_ ? "" : page_.after};
  const auto list = conversations_.page(tenant_, first.conversation, rest, now, first.told);
  const bool is_elsewhere = !list && !found_ && list.error().code == Errc::invalid_request;
  if (!list && (is_gone(list.error()) || is_elsewhere)) return {};
  if (!list) return list.error();
  found_ = true;
  add(elements_of(*list));
  return {};
}

Result<bool> PastPage::end() const {
  if (found_) return true;
  return Error{Errc::invalid_request, "'after' names no item that led to this response", "after",
               std::nullopt};
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
