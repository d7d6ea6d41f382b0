#include "backends/local/grammar/size_check.h"

#include <string>

namespace spillway::local::grammar {
namespace {

Error is_too_much(const Form& form, const std::string& what) {
  return {Errc::invalid_request,
          "'" + form.field + "' takes too " + what +
              " to prepare: make it simpler (shorter minLength, maxLength and repetitions, fewer "
              "properties that may be left out).",
          form.field, std::nullopt};
}

}  // namespace

std::size_t size_of(const Form& form) {
  std::size_t bytes = form.text.size();
  for (const std::string& choice : form.choices) bytes += choice.size();
  return bytes;
}

Result<void> check_size(const Form& form) {
  const std::size_t most = form.kind == Form::Kind::regex ? kRegexBytesMax : kFormBytesMax;
  const std::size_t bytes = size_of(form);
  if (bytes <= most) return {};
  return Error{.code = Errc::invalid_request,
               .message = "'" + form.field + "' has " + std::to_string(bytes) +
                          " bytes; the local engine takes at most " + std::to_string(most) +
                          ": make it shorter.",
               .param = form.field};
}

Error takes_too_long(const Form& form) { return is_too_much(form, "long"); }
Error takes_too_much(const Form& form) { return is_too_much(form, "much memory"); }

}  // namespace spillway::local::grammar
