#include "backends/cloud/failure.h"

#include "backends/cloud/meaning.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace spillway::cloud {

namespace {

constexpr std::size_t kMessageBytesMax = 300;
constexpr std::size_t kWordBytesMax = 128;

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// The provider's own words without our key, control characters and length.
std::string cleaned(const Teller& teller, std::string text) {
  constexpr std::string_view kInstead = "[key]";
  for (std::size_t at = 0; !teller.key.empty() && (at = text.find(teller.key, at)) != text.npos;
       at += kInstead.size())
    text.replace(at, teller.key.size(), kInstead);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  if (text.size() <= kMessageBytesMax) return text;
  std::size_t end = kMessageBytesMax;
  while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // Not inside a character.
  return text.substr(0, end) + "…";
}

Error tell(const Teller& teller, Errc code, std::string_view what) {
  return Error{code, teller.provider + ": " + std::string(what), "", std::nullopt};
}

std::string said(const Teller& teller, std::string_view what, const std::string& message) {
  const std::string words = cleaned(teller, message);
  return words.empty() ? std::string(what) : std::string(what) + ": " + words;
}

// What is the operator's affair, if it is. The provider's words stay here: some print parts of the
// key when they refuse it.
std::optional<Error> account_fault(const Teller& teller, const Complaint& complaint) {
  switch (meaning_of(complaint)) {
    case Meaning::unpaid:
      return tell(teller, Errc::account_refused, "the gateway's account there has no credit");
    case Meaning::unwelcome:
      return tell(teller, Errc::account_refused, "it does not accept the gateway's account");
    default: return std::nullopt;
  }
}

// "unsupported_value", "messages[0].content"; nothing where it is no such word.
std::string word_of(const std::string& text) {
  const auto fits = [](unsigned char c) { return std::isgraph(c) != 0 && c != '"' && c != '\\'; };
  const bool is_word = !text.empty() && text.size() <= kWordBytesMax &&
                       std::isalpha(static_cast<unsigned char>(text.front())) != 0 &&
                       std::all_of(text.begin(), text.end(), fits);
  return is_word ? text : "";
}

// A request that it does not take, unless it is the operator's affair.
Error client_fault(const Teller& teller, const Complaint& complaint) {
  if (const auto fault = account_fault(teller, complaint)) return *fault;
  const Meaning meaning = meaning_of(complaint);
  const Errc code = meaning == Meaning::too_long  ? Errc::context_too_long
                    : meaning == Meaning::unknown ? Errc::unsupported
                                                  : Errc::invalid_request;
  Error error = tell(teller, code, said(teller, "it refused the request", complaint.message));
  error.param = word_of(cleaned(teller, complaint.param));
  if (code != Errc::context_too_long) error.kind = word_of(cleaned(teller, complaint.code));
  return error;
}

// The provider's limit, met by this request: others may have another, and it is well.
Error own_limit(const Teller& teller, std::string_view answered, const Complaint& complaint,
                std::string_view kind) {
  Error error = tell(teller, Errc::unsupported, said(teller, answered, complaint.message));
  error.kind = word_of(cleaned(teller, complaint.code));
  if (error.kind.empty()) error.kind = kind;
  return error;
}

std::string words_of(const Complaint& complaint) {
  std::string words = complaint.message + " " + complaint.type + " " + complaint.code;
  std::transform(words.begin(), words.end(), words.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return words;
}

// Of what it forbids: whether that is about what is asked, and not about who asks, or from where.
bool is_about_the_request(const Complaint& complaint) {
  const std::string words = words_of(complaint);
  constexpr std::array<std::string_view, 6> kOfContent = {"content", "moderat", "flagged",
                                                          "safety",  "harm",    "guardrail"};
  return std::any_of(kOfContent.begin(), kOfContent.end(),
                     [&](auto word) { return has(words, word); });
}

// It has no such model any more, or not for this account: nothing is wrong with its others.
bool is_about_a_model(const Complaint& complaint) { return has(words_of(complaint), "model"); }

// What stands before it may have said so: it may be asked again.
Error forbidden(const Teller& teller, std::string_view answered, const Complaint& complaint) {
  if (const auto fault = account_fault(teller, complaint)) return *fault;
  const bool is_one_model = is_about_a_model(complaint);
  return tell(teller, is_one_model ? Errc::model_not_found : Errc::backend_unavailable, answered);
}

Error too_many(const Teller& teller, const ResponseHead& head, const Complaint& complaint) {
  if (const auto fault = account_fault(teller, complaint)) return *fault;
  Error error = tell(teller, Errc::rate_limited, "its rate limit is reached");
  error.retry_after = head.retry_after();
  return error;
}

// All that it can do is being done: another may have room, and so may it soon.
bool lacks_capacity(int status, const Complaint& complaint) {
  if (status == 503 || status == 529) return true;
  return status >= 500 && meaning_of(complaint) == Meaning::busy;
}

Error too_busy(const Teller& teller, const ResponseHead& head, std::string_view answered,
               const Complaint& complaint) {
  if (const auto fault = account_fault(teller, complaint)) return *fault;
  Error error = tell(teller, Errc::overloaded, said(teller, answered, complaint.message));
  error.retry_after = head.retry_after();
  return error;
}

}  // namespace

Error unavailable(const Teller& teller, std::string_view cause) {
  return tell(teller, Errc::backend_unavailable, cause);
}

Error outgrown(const Teller& teller) {
  Error error = tell(teller, Errc::invalid_request,
                     "its answer is too large to be passed on: ask for less at once");
  error.param = "input";
  return error;
}

Error refusal(const Teller& teller, const ResponseHead& head, std::string_view body) {
  const int status = head.status();
  const std::string answered = "it answered " + std::to_string(status);
  const auto complaint = parse_complaint(body);
  if (status == 429) return too_many(teller, head, complaint.value_or(Complaint{}));
  if (lacks_capacity(status, complaint.value_or(Complaint{})))
    return too_busy(teller, head, answered, complaint.value_or(Complaint{}));
  if (status >= 300 && status < 400) {
    return unavailable(teller, answered + ", and redirects are not followed");
  }
  if (status == 413) {
    const Complaint tells = complaint.value_or(Complaint{.message = "the request is too large"});
    return own_limit(teller, answered, tells, "request_too_large");
  }
  if (status == 403 && complaint && is_about_the_request(*complaint))
    return own_limit(teller, answered, *complaint, "refused_by_provider");
  const std::string unwelcome = answered + ": it does not accept the gateway's account";
  if (status == 401 || status == 402) return tell(teller, Errc::account_refused, unwelcome);
  if (status == 403) return forbidden(teller, unwelcome, complaint.value_or(Complaint{}));
  const bool by_client = status == 400 || status == 422;
  if (!complaint && by_client)
    return own_limit(teller, answered + " without a reason", Complaint{}, "refused_by_provider");
  if (!complaint) return unavailable(teller, answered + " without a reason");
  if (by_client) return client_fault(teller, *complaint);
  const bool lacks_model = status == 404 && is_about_a_model(*complaint);
  return tell(teller, lacks_model ? Errc::model_not_found : Errc::backend_unavailable,
              said(teller, answered, complaint->message));
}

Error complaint_error(const Teller& teller, const Complaint& complaint) {
  if (complaint.answered)
    return tell(teller, Errc::unsupported, cleaned(teller, complaint.message));
  if (const auto fault = account_fault(teller, complaint)) return *fault;
  if (has(complaint.type, "rate_limit") || has(complaint.code, "rate_limit") ||
      complaint.code == "429") {
    return tell(teller, Errc::rate_limited, "its rate limit is reached");
  }
  if (meaning_of(complaint) == Meaning::busy || complaint.code == "503")
    return tell(teller, Errc::overloaded, said(teller, "it is overloaded", complaint.message));
  if (complaint.type == "invalid_request_error" || complaint.code == "400") {
    return client_fault(teller, complaint);
  }
  return unavailable(teller, said(teller, "it failed while answering", complaint.message));
}

}  // namespace spillway::cloud
