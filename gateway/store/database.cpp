#include "gateway/store/database.h"

#include "gateway/store/disk_file.h"

#include <filesystem>
#include <sqlite3.h>
#include <utility>

namespace spillway::store {
namespace {

constexpr int kBusyMilliseconds = 5'000;
constexpr int kPrimary = 0xff;  // Of an extended result code.

Error failure(int code) {
  const int primary = code & kPrimary;
  if (primary == SQLITE_FULL) return disk_is_full();
  if (primary == SQLITE_IOERR) return disk_fails();  // By a quota, for one.
  return Error{Errc::internal, std::string("the state directory: ") + sqlite3_errstr(code), "",
               std::nullopt};
}

Error of_file(const std::string& path, Error error) {
  error.message = path + ": " + error.message;
  return error;
}

Error of_version(const std::string& what) { return Error{Errc::internal, what, "", std::nullopt}; }

// What SQLite would read as a part of an address.
std::string escaped(const std::string& path) {
  std::string address;
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      constexpr std::string_view kDigits = "0123456789abcdef";
      address += '%';
      address += kDigits[static_cast<unsigned char>(c) >> 4];
      address += kDigits[static_cast<unsigned char>(c) & 15];
    } else {
      address += c;
    }
  }
  return address;
}

// Without a log beside it a file is whole, and is read as it is; to read a log, SQLite wants to
// write an index of it.
std::string address_to_read(const std::string& path) {
  std::error_code ignored;
  const bool has_log = std::filesystem::file_size(path + "-wal", ignored) > 0 && !ignored;
  return "file:" + escaped(path) + (has_log ? "?mode=ro" : "?mode=ro&immutable=1");
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::bind(int parameter, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter + 1, value);
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), parameter + 1, text.data(), text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind_blob(int parameter, std::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), parameter + 1, bytes.data(), bytes.size(),
                      SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::bind_null(int parameter) {
  sqlite3_bind_null(statement_.get(), parameter + 1);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  sqlite3_reset(statement_.get());
  if (code != SQLITE_DONE) return failure(code);
  return false;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, size);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int Statement::columns() const { return sqlite3_column_count(statement_.get()); }

void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<Database> Database::open(const std::string& path, const std::vector<std::string>& versions) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database database(handle);
  if (code != SQLITE_OK) return failure(code);
  auto prepared = database.prepare_file();
  if (prepared) prepared = database.migrate(versions);
  if (!prepared) return of_file(path, prepared.error());
  return database;
}

Result<Database> Database::open_to_read(const std::string& path,
                                        const std::vector<std::string>& versions) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(address_to_read(path).c_str(), &handle, flags, nullptr);
  Database database(handle);
  if (code != SQLITE_OK) return of_file(path, failure(code));
  const auto version = database.version();
  if (!version) return of_file(path, version.error());
  const auto ours = static_cast<std::int64_t>(versions.size());
  if (*version > ours) return of_file(path, of_version("is of a later version of Spillway"));
  if (*version < ours)
    return of_file(path,
                   of_version("is of an earlier version of Spillway, and cannot be brought to "
                              "this one where it may not be written: copy it"));
  return database;
}

Result<void> Database::prepare_file() {
  sqlite3_extended_result_codes(database_.get(), 1);
  sqlite3_busy_timeout(database_.get(), kBusyMilliseconds);
  return run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON");
}

Result<void> Database::migrate(const std::vector<std::string>& versions) {
  auto transaction = Transaction::begin(*this);
  if (!transaction) return transaction.error();
  const auto version = this->version();
  if (!version) return version.error();
  if (*version > static_cast<std::int64_t>(versions.size()))
    return of_version("is of a later version of Spillway");
  for (auto at = static_cast<std::size_t>(*version); at < versions.size(); ++at) {
    auto done = run(versions[at]);
    if (!done) return done.error();
  }
  auto noted = run("PRAGMA user_version=" + std::to_string(versions.size()));
  if (!noted) return noted.error();
  return transaction->commit();
}

Result<std::int64_t> Database::version() {
  auto asked = prepare("PRAGMA user_version");
  if (!asked) return asked.error();
  const auto row = asked->step();
  if (!row) return row.error();
  return asked->integer(0);
}

Result<void> Database::run(const std::string& sql) {
  const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(code);
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                      &statement, nullptr);
  if (code != SQLITE_OK) return failure(code);
  return Statement(statement);
}

std::int64_t Database::changed() const { return sqlite3_changes64(database_.get()); }

Result<Transaction> Transaction::begin(Database& database) {
  auto begun = database.run("BEGIN IMMEDIATE");
  if (!begun) return begun.error();
  return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  if (database_ != nullptr) (void)database_->run("ROLLBACK");
}

Result<void> Transaction::commit() {
  auto committed = database_->run("COMMIT");
  if (committed) database_ = nullptr;
  return committed;
}

}  // namespace spillway::store
