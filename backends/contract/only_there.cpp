#include "backends/contract/only_there.h"

#include <string>
#include <string_view>

namespace spillway {
namespace {

// Of "'thread'" thread; of what is no field's name nothing.
std::string field_in(std::string_view words) {
  const bool quoted = words.size() > 2 && words.front() == '\'' && words.back() == '\'';
  return std::string(quoted ? words.substr(1, words.size() - 2) : "");
}

}  // namespace

std::optional<Error> only_there(const ChatRequest& request) {
  if (!request.original || request.original->only.empty()) return std::nullopt;
  const Original& original = *request.original;
  return Error{Errc::unsupported,
               original.only + " can be taken only by a provider that speaks " + original.protocol,
               field_in(original.only), std::nullopt};
}

}  // namespace spillway
