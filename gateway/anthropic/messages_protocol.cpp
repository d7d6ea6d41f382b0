#include "gateway/anthropic/messages_protocol.h"

#include "gateway/anthropic/errors.h"
#include "gateway/anthropic/message_writer.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::anthropic {
namespace {

// Names and numbers of theirs, and nothing else: it goes into a header of ours.
bool is_plain(std::string_view word) {
  constexpr std::size_t kBytesMax = 128;
  return !word.empty() && word.size() <= kBytesMax &&
         std::all_of(word.begin(), word.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

std::vector<std::string> betas_in(const std::vector<std::string>& lists) {
  constexpr std::size_t kBetasMax = 32;
  std::vector<std::string> betas;
  for (std::string_view list : lists) {
    while (!list.empty() && betas.size() < kBetasMax) {
      std::string_view word = list.substr(0, list.find(','));
      list.remove_prefix(std::min(word.size() + 1, list.size()));
      while (word.starts_with(' ')) word.remove_prefix(1);
      while (word.ends_with(' ')) word.remove_suffix(1);
      if (is_plain(word)) betas.emplace_back(word);
    }
  }
  return betas;
}

}  // namespace

Async<wire::Asked> MessagesProtocol::parse(wire::Call call) const {
  std::function<Result<wire::Asked>()> read = [this, &call] { return asked_by(call); };
  co_return co_await wire::read_in(call.room, call.tenant, call.body.size(), std::move(read));
}

Result<wire::Asked> MessagesProtocol::asked_by(wire::Call& call) const {
  auto read = parse_messages(call.body, limit_);
  if (!read) return read.error();
  if (notes_) read->chat = notes_->put_into(std::move(read->chat), call.tenant);
  auto plain = read_chat_(std::move(read->chat));
  if (!plain) return plain.error();
  auto chat = std::make_shared<ChatRequest>(**plain);
  if (read->beyond.tools || !read->beyond.words.empty()) chat->needs |= Need::tools;
  chat->has_tools = read->beyond.tools;
  chat->media += read->beyond.media;
  chat->beside_bytes += read->beyond.text_bytes;
  chat->unsent = std::move(read->beyond.unsent);
  chat->searches = read->beyond.searches;
  chat->added_tokens = read->beyond.added_tokens;
  chat->other_models = std::move(read->beyond.other_models);
  chat->hints = std::move(read->hints);
  if (!call.betas.empty()) chat->hints.emplace_back("anthropic-beta");
  chat->original =
      Original{"messages", std::move(call.body), std::move(read->beyond.words),
               is_plain(call.version) ? std::move(call.version) : "", betas_in(call.betas)};
  MessageInfo info{std::move(call.request_id), chat->model};
  wire::Asked asked;
  asked.writer = chat->stream ? event_writer(std::move(info)) : body_writer(std::move(info));
  if (notes_) asked.writer = noting(std::move(asked.writer), std::move(call.tenant), *notes_);
  asked.chat = std::move(chat);
  return asked;
}

wire::ErrorReply MessagesProtocol::error(const Error& error, std::string_view request_id) const {
  return error_reply(error, request_id);
}

}  // namespace spillway::anthropic
