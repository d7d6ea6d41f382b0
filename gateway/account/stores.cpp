#include "gateway/account/stores.h"

#include "gateway/account/postgres_journal.h"
#include "gateway/account/sqlite_journal.h"

namespace spillway::account {
namespace {

constexpr std::chrono::seconds kForTheWriterBefore{5};

std::string file_in(const std::string& directory) { return directory + "/ledger.sqlite"; }

}  // namespace

Result<std::unique_ptr<Journal>> open_journal(const config::Ledger& settings,
                                              const std::string& directory) {
  if (settings.postgres.empty()) return open_sqlite_journal(file_in(directory));
  return open_postgres_journal(settings.postgres, kForTheWriterBefore);
}

Result<std::unique_ptr<BookReader>> open_book(const config::Ledger& settings,
                                              const std::string& directory) {
  if (settings.postgres.empty()) return open_sqlite_book(file_in(directory));
  return postgres_book(settings.postgres);
}

}  // namespace spillway::account
