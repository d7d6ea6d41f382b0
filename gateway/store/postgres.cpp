#include "gateway/store/postgres.h"

#include "backends/contract/deadline.h"

#include <algorithm>
#include <cstring>
#include <libpq-fe.h>
#include <optional>
#include <poll.h>
#include <utility>

namespace spillway::store {
namespace {

using std::chrono::milliseconds;

constexpr const char* kConnectSeconds = "5";

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Answer = std::unique_ptr<PGresult, Clear>;

Error error(std::string message) {
  return {Errc::internal, "the database: " + std::move(message), "", std::nullopt};
}

std::string first_line(const char* text) {
  const std::string_view all(text == nullptr ? "" : text);
  return std::string(all.substr(0, all.find('\n')));
}

// Whatever libpq says of an address that it cannot read may have the password in it.
bool is_address(const std::string& text) {
  char* why = nullptr;
  PQconninfoOption* const options = PQconninfoParse(text.c_str(), &why);
  PQfreemem(why);
  PQconninfoFree(options);
  return options != nullptr;
}

// "connection to server at … failed: FATAL:  …" → its end, which names nobody.
std::string why_not_connected(const char* message) {
  constexpr std::string_view kFailed = " failed: ";
  const std::string line = first_line(message);
  const auto at = line.rfind(kFailed);
  if (at == std::string::npos) return "cannot be reached: check its address";
  return line.substr(at + kFailed.size());
}

std::vector<PostgresRow> rows_of(const PGresult* result) {
  std::vector<PostgresRow> rows(static_cast<std::size_t>(PQntuples(result)));
  const int columns = PQnfields(result);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (int column = 0; column < columns; ++column) {
      const int row = static_cast<int>(i);
      rows[i].emplace_back(PQgetvalue(result, row, column),
                           static_cast<std::size_t>(PQgetlength(result, row, column)));
    }
  }
  return rows;
}

// Bytes of the UTF-8 character at the beginning; 0: there is none.
std::size_t character_at(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first == 0 ? 0 : 1;
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  if (first == 0xE0 && second < 0xA0) return 0;  // Could be said shorter.
  if (first == 0xED && second > 0x9F) return 0;  // Half of a pair.
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;  // Beyond Unicode.
  return size;
}

}  // namespace

void Postgres::Close::operator()(pg_conn* connection) const { PQfinish(connection); }

Result<Postgres> Postgres::connect(const std::string& address, const std::string& name,
                                   milliseconds patience) {
  if (!is_address(address))
    return error("its address is no connection string; write postgresql://USER:PASSWORD@HOST/NAME");
  // What the address says comes after these, and counts more, but for the first two.
  const char* const words[] = {"connect_timeout",
                               "keepalives_idle",
                               "keepalives_interval",
                               "dbname",
                               "fallback_application_name",
                               "client_encoding",
                               nullptr};
  const char* const values[] = {kConnectSeconds, "10",   "5",    address.c_str(),
                                name.c_str(),    "UTF8", nullptr};
  pg_conn* const handle = PQconnectdbParams(words, values, 1);
  Postgres connection(handle, patience);
  if (PQstatus(handle) != CONNECTION_OK) return error(why_not_connected(PQerrorMessage(handle)));
  PQsetnonblocking(handle, 1);
  PQsetNoticeProcessor(handle, [](void*, const char*) {}, nullptr);
  return connection;
}

bool Postgres::lost() const { return given_up_ || PQstatus(connection_.get()) != CONNECTION_OK; }

Error Postgres::failure() const { return error(first_line(PQerrorMessage(connection_.get()))); }

Result<void> Postgres::run(const std::string& sql) {
  if (PQsendQuery(connection_.get(), sql.c_str()) != 1) return failure();
  auto answered = answer();
  if (!answered) return answered.error();
  return {};
}

Result<std::vector<PostgresRow>> Postgres::ask(const std::string& sql,
                                               const std::vector<std::string>& values) {
  std::vector<const char*> texts;
  for (const std::string& value : values) texts.push_back(value.c_str());
  const int sent = PQsendQueryParams(connection_.get(), sql.c_str(), static_cast<int>(texts.size()),
                                     nullptr, texts.data(), nullptr, nullptr, 0);
  if (sent != 1) return failure();
  return answer();
}

// The last of what comes, or the first error in it.
Result<std::vector<PostgresRow>> Postgres::answer() {
  std::vector<PostgresRow> rows;
  std::optional<Error> failed;
  while (true) {
    auto arrived = wait_for_answer();
    if (!arrived) return arrived.error();
    const Answer result(PQgetResult(connection_.get()));
    if (!result) break;
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK) rows = rows_of(result.get());
    const bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (!good && !failed) failed = error(first_line(PQresultErrorMessage(result.get())));
  }
  if (failed) return std::move(*failed);
  return rows;
}

Result<void> Postgres::wait_for_answer() {
  pg_conn* const connection = connection_.get();
  const Deadline until = SteadyClock::now() + patience_;
  while (true) {
    const int unsent = PQflush(connection);
    if (unsent < 0) return failure();
    if (unsent == 0 && PQisBusy(connection) == 0) return {};
    const auto left = std::chrono::ceil<milliseconds>(until - SteadyClock::now());
    pollfd door{PQsocket(connection), POLLIN, 0};
    if (unsent > 0) door.events |= POLLOUT;
    if (left.count() <= 0 || poll(&door, 1, static_cast<int>(left.count())) == 0) {
      given_up_ = true;
      return error("does not answer");
    }
    if ((door.revents & ~POLLOUT) != 0 && PQconsumeInput(connection) == 0) return failure();
  }
}

void PostgresArray::add(std::int64_t value) {
  if (text_.size() > 1) text_ += ',';
  text_ += std::to_string(value);
}

void PostgresArray::add(std::string_view text) {
  text_ += text_.size() > 1 ? ",\"" : "\"";
  while (!text.empty()) {
    const std::size_t size = character_at(text);
    if (text.front() == '"' || text.front() == '\\') text_ += '\\';
    text_ += size == 0 ? std::string_view("?") : text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(1, size));
  }
  text_ += '"';
}

}  // namespace spillway::store
