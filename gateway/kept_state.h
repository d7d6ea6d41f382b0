// What outlives the process: the state directory and everything that is kept in it, opened in one
// go.
//
// Belongs to the composition root, which declares it before whatever uses it. All is null until
// `open`; which thread may call a part says its own header.
#pragma once

#include "config/settings.h"
#include "gateway/account/account.h"
#include "gateway/account/key_ring.h"
#include "gateway/batch/batch_store.h"
#include "gateway/batch/handover_store.h"
#include "gateway/files/cabinet.h"
#include "gateway/responses/conversations.h"
#include "gateway/responses/shelf.h"
#include "gateway/store/directory.h"
#include "gateway/store/reserve.h"
#include "gateway/stored/chat_store.h"

#include <functional>
#include <memory>
#include <optional>

namespace spillway {

struct KeptState {
  // Fails with what to change. `trouble` hears of the ledger's (account::LedgerEars).
  Result<void> open(const config::Settings& settings,
                    std::function<void(const std::optional<Error>& why)> trouble);

  std::optional<store::Directory> directory;
  std::optional<store::Reserve> reserve;
  std::unique_ptr<account::Account> account;  // Null where no ledger is kept.
  std::unique_ptr<account::KeyRing> keys;
  std::unique_ptr<files::Cabinet> cabinet;
  std::unique_ptr<batch::BatchStore> batches;
  std::optional<batch::HandoverStore> handovers;
  std::unique_ptr<stored::ChatStore> chats;
  std::unique_ptr<responses::Shelf> responses;
  std::unique_ptr<responses::Conversations> conversations;

  // On the disk's thread: what has outlived its time goes, and what is kept aside for a full disk
  // is there again.
  void sweep();
};

// The limits of files as their room has them.
files::Limits files_limits(const config::Files& settings);

}  // namespace spillway
