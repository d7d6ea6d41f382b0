#include "gateway/request/reception.h"

#include "gateway/request/allowance.h"

#include <utility>

namespace spillway {
namespace {

constexpr std::string_view kCancel = "/cancel";
constexpr std::uint64_t kLargeBytes = 1 << 20;

bool counts(const http::Request& raw) {
  return raw.method == "POST" && !raw.path.ends_with(kCancel);
}

}  // namespace

Result<void> Visitor::check_model(std::string_view model) const {
  const auto allowed = policy::check_model(caller, model);
  return allowed ? edition->router.check_model(model) : allowed;
}

Result<Visitor> visitor_of(const CurrentEdition& editions, const http::Request& raw) {
  Entry entry = editions.enter(raw.api_key(), raw.id);
  if (!entry.caller) return entry.caller.error();
  const auto in_scope = policy::check_scope(*entry.caller, raw.path);
  if (!in_scope) return in_scope.error();
  Visitor visitor;
  visitor.edition = std::move(entry.edition);
  visitor.caller = std::move(*entry.caller);
  visitor.tenant = visitor.caller.tenant();
  visitor.key_name = visitor.caller.name();
  return visitor;
}

Result<Visitor> Reception::admit(const http::Request& raw, http::ResponseWriter& out) const {
  auto visitor = visitor_of(editions_, raw);
  if (!visitor || !counts(raw)) return visitor;
  auto pass = admit_errand(limiter_, *visitor->edition->settings, visitor->caller, out);
  if (!pass) return pass.error();
  visitor->pass = std::move(*pass);
  return visitor;
}

Result<void> Reception::admit_answer(const http::Request& raw, Visitor& visitor,
                                     std::uint64_t bytes, http::ResponseWriter& out) const {
  if (raw.method != "GET" || bytes <= kLargeBytes) return {};
  auto pass = admit_errand(limiter_, *visitor.edition->settings, visitor.caller, out);
  if (!pass) return pass.error();
  visitor.pass = std::move(*pass);
  return {};
}

}  // namespace spillway
