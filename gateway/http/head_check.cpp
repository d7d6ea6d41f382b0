#include "gateway/http/head_check.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace spillway::http {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

// Headers that frame a message, name its owner or steer this gateway: nobody may hide one behind an
// underscore, which some proxies and frameworks read as a hyphen.
constexpr std::array<std::string_view, 14> kGuardedNames = {
    "host",          "content-length",  "transfer-encoding", "connection",
    "authorization", "expect",          "upgrade",           "trailer",
    "content-type",  "x-api-key",       "x-forwarded-for",   "x-client-request-id",
    "x-request-id",  "x-spillway-class"};

struct Refused {
  Reject reason;
  std::string_view why;
};
using Check = std::optional<Refused>;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// RFC 9110 5.6.2
bool is_token_char(char c) {
  if ((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_visible(char c) { return c > ' ' && c < '\x7f'; }

bool is_value_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

// But for the case of letters.
bool equals(std::string_view one, std::string_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Each steers this gateway by its first value: a second would be passed over in silence.
bool is_said_once(std::string_view name) {
  constexpr std::string_view kOurs = "x-spillway-";
  return name.size() > kOurs.size() && equals(name.substr(0, kOurs.size()), kOurs);
}

bool is_underscore_twin(std::string_view name) {
  if (name.find('_') == std::string_view::npos) return false;
  const auto matches = [name](std::string_view guarded) {
    return std::equal(name.begin(), name.end(), guarded.begin(), guarded.end(),
                      [](char a, char b) { return (a == '_' ? '-' : lower(a)) == b; });
  };
  return std::any_of(kGuardedNames.begin(), kGuardedNames.end(), matches);
}

// reg-name, IPv4 or bracketed IPv6, and a port.
bool is_host(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           std::string_view(".-_:[]").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

class HeadChecker {
 public:
  Check line(std::string_view line);
  Check field(std::string_view line);
  Check whole() const;
  const HeadFacts& facts() const { return facts_; }

 private:
  Check framing(std::string_view name, std::string_view value);
  Check content_length(std::string_view value);
  Check transfer_encoding(std::string_view value);

  Check once(std::string_view name);

  HeadFacts facts_;
  std::vector<std::string_view> said_;  // Names of ours.
  bool http_1_1_ = false;
  int fields_ = 0;
  int hosts_ = 0;
};

Check HeadChecker::line(std::string_view line) {
  const auto method_end = line.find(' ');
  const auto target_end = line.rfind(' ');
  if (method_end == std::string_view::npos || method_end == target_end) {
    return Refused{Reject::malformed_line, "the request line is not METHOD TARGET HTTP/1.1"};
  }
  const std::string_view target = line.substr(method_end + 1, target_end - method_end - 1);
  const std::string_view version = line.substr(target_end + 1);
  if (!is_token(line.substr(0, method_end)) || target.empty() ||
      !std::all_of(target.begin(), target.end(), is_visible)) {
    return Refused{Reject::malformed_line, "the request line is not METHOD TARGET HTTP/1.1"};
  }
  http_1_1_ = version == "HTTP/1.1";
  if (!http_1_1_ && version != "HTTP/1.0") {
    return Refused{Reject::malformed_line, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  }
  return std::nullopt;
}

Check HeadChecker::field(std::string_view line) {
  if (++fields_ > kHeaderFieldsMax) {
    return Refused{Reject::headers_too_large, "the request has more than 100 header fields"};
  }
  if (line.front() == ' ' || line.front() == '\t') {
    return Refused{Reject::control_character, "a header is folded over several lines"};
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    return Refused{Reject::malformed_line, "a header line is not NAME: VALUE"};
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), is_value_char)) {
    return Refused{Reject::control_character, "a header value contains a control character"};
  }
  if (is_underscore_twin(name)) {
    return Refused{Reject::confusing_name, "a header name has '_' where its standard name has '-'"};
  }
  return is_said_once(name) ? once(name) : framing(name, value);
}

Check HeadChecker::once(std::string_view name) {
  const auto same = [name](std::string_view other) { return equals(name, other); };
  if (std::any_of(said_.begin(), said_.end(), same)) {
    return Refused{Reject::confusing_name, "an x-spillway-* header is given twice: give it once"};
  }
  said_.push_back(name);
  return std::nullopt;
}

Check HeadChecker::framing(std::string_view name, std::string_view value) {
  if (equals(name, "host")) {
    ++hosts_;
    if (!is_host(value)) return Refused{Reject::bad_host, "the Host header is not a host name"};
    return std::nullopt;
  }
  if (equals(name, "content-length")) return content_length(value);
  if (equals(name, "transfer-encoding")) return transfer_encoding(value);
  if (equals(name, "expect")) {
    facts_.expects_continue = equals(value, "100-continue");
    if (facts_.expects_continue) return std::nullopt;
    return Refused{Reject::bad_expectation, "Expect may only be 100-continue"};
  }
  return std::nullopt;
}

Check HeadChecker::content_length(std::string_view value) {
  if (facts_.content_length) {
    return Refused{Reject::bad_content_length, "the request has more than one Content-Length"};
  }
  std::uint64_t length = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), length);
  if (value.empty() || parsed.ec != std::errc() || parsed.ptr != value.data() + value.size()) {
    return Refused{Reject::bad_content_length, "Content-Length is not a plain number"};
  }
  facts_.content_length = length;
  return std::nullopt;
}

Check HeadChecker::transfer_encoding(std::string_view value) {
  if (facts_.chunked || !equals(value, "chunked")) {
    return Refused{Reject::bad_transfer_encoding, "Transfer-Encoding may only be chunked, once"};
  }
  if (!http_1_1_) {
    return Refused{Reject::bad_transfer_encoding, "HTTP/1.0 has no Transfer-Encoding"};
  }
  facts_.chunked = true;
  return std::nullopt;
}

Check HeadChecker::whole() const {
  if (facts_.chunked && facts_.content_length) {
    return Refused{Reject::bad_transfer_encoding,
                   "the request has both Content-Length and Transfer-Encoding"};
  }
  if (hosts_ > 1 || (hosts_ == 0 && http_1_1_)) {
    return Refused{Reject::bad_host, "the request needs exactly one Host header"};
  }
  return std::nullopt;
}

HeadVerdict refuse(const Refused& refused) { return {refused.reason, refused.why, {}}; }

}  // namespace

HeadScanner::State HeadScanner::scan(std::string_view bytes) {
  while (true) {
    const auto line_feed = bytes.find('\n', scanned_);
    if (line_feed == std::string_view::npos) {
      scanned_ = bytes.size();
      return State::more;
    }
    if (line_feed == 0 || bytes[line_feed - 1] != '\r') return State::bare_line_end;
    scanned_ = line_feed + 1;
    if (line_feed >= 3 && bytes[line_feed - 2] == '\n') return State::found;
  }
}

HeadVerdict check_head(std::string_view head) {
  HeadChecker checker;
  bool first = true;
  while (true) {
    const std::string_view line = head.substr(0, head.find(kLineEnd));
    head.remove_prefix(line.size() + kLineEnd.size());
    if (line.empty() && !first) break;
    const Check refused = first ? checker.line(line) : checker.field(line);
    if (refused) return refuse(*refused);
    first = false;
  }
  if (const Check refused = checker.whole()) return refuse(*refused);
  return {std::nullopt, {}, checker.facts()};
}

}  // namespace spillway::http
