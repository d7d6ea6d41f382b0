#include "gateway/kept_state.h"

#include "gateway/account/stores.h"
#include "gateway/wall_clock.h"

#include <chrono>
#include <utility>

namespace spillway {
namespace {

Result<std::unique_ptr<responses::Shelf>> open_responses(const store::Directory& directory,
                                                         const config::Responses& settings) {
  const responses::ShelfLimits limits{settings.ttl / std::chrono::seconds(1), settings.size_max};
  auto shelf = responses::Shelf::open(directory.file("responses.sqlite"), limits, unix_seconds());
  if (!shelf) return shelf.error();
  return std::make_unique<responses::Shelf>(std::move(*shelf));
}

Result<std::unique_ptr<responses::Conversations>> open_conversations(
    const store::Directory& directory, const config::Settings& settings) {
  responses::ConversationLimits limits;
  limits.ttl_seconds = settings.responses.ttl / std::chrono::seconds(1);
  limits.bytes_max = settings.responses.size_max;
  limits.items_bytes_max = settings.server.limits.body_bytes_max;
  return responses::Conversations::open(directory.file("conversations.sqlite"), limits,
                                        unix_seconds());
}

Result<std::unique_ptr<account::Account>> open_account(
    const store::Directory& directory, const config::Settings& settings,
    std::function<void(const std::optional<Error>& why)> trouble) {
  auto journal = account::open_journal(settings.ledger, directory.path());
  if (!journal) return journal.error();
  return account::Account::open(directory, std::move(*journal),
                                settings.server.limits.in_flight_max, std::move(trouble));
}

// Puts what has been opened where it belongs.
template <typename Part>
Result<void> take(Result<Part> opened, auto& place) {
  if (!opened) return opened.error();
  place = std::move(*opened);
  return {};
}

// A batch's input takes its tenant's room until the batch has ended, also if it is deleted before.
void keep_inputs(batch::BatchStore& batches, files::FileStore& files) {
  files.keep_while([&batches](std::string_view id) {
    const auto uses = batches.uses(id);
    return !uses || *uses;
  });
}

}  // namespace

files::Limits files_limits(const config::Files& settings) {
  files::Limits limits;
  limits.file_max = static_cast<std::uint64_t>(settings.file_max);
  limits.batch_input_max = static_cast<std::uint64_t>(settings.batch_input_max);
  limits.tenant_max = static_cast<std::uint64_t>(settings.tenant_max);
  limits.tenant_files_max = settings.tenant_files_max;
  limits.tenant_parts_max = settings.tenant_parts_max;
  return limits;
}

Result<void> KeptState::open(const config::Settings& settings,
                             std::function<void(const std::optional<Error>& why)> trouble) {
  auto done = take(store::Directory::open(settings.server.state), directory);
  if (done) reserve.emplace(directory->file("reserve")).keep();
  if (done) done = take(files::Cabinet::open(*directory, files_limits(settings.files)), cabinet);
  if (done) done = take(batch::BatchStore::open(*directory), batches);
  if (done) keep_inputs(*batches, cabinet->files);
  if (done) handovers.emplace(*batches);
  if (done) done = take(stored::ChatStore::open(directory->file("chats.db")), chats);
  if (done) done = take(open_responses(*directory, settings.responses), responses);
  if (done) done = take(open_conversations(*directory, settings), conversations);
  if (done) done = take(account::KeyRing::open(directory->file("keys.sqlite")), keys);
  if (done) done = keys->check_configured(settings.keys);
  if (!done || !settings.ledger.enabled) return done;
  return take(open_account(*directory, settings, std::move(trouble)), account);
}

void KeptState::sweep() {
  const auto expire = [this] {
    const auto now = unix_seconds();
    const auto files = cabinet->files.expire(now);
    const auto uploads = cabinet->uploads.expire(now);
    const auto all = conversations->expire(now);
    const auto turns = responses->expire(now);
    const auto completions = chats->expire(now);
    return files.has_value() && uploads.has_value() && all.has_value() && turns.has_value() &&
           completions.has_value();
  };
  if (!expire() && reserve->give_up()) (void)expire();
  reserve->keep();
}

}  // namespace spillway
