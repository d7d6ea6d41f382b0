#include "gateway/files/multipart.h"

#include <algorithm>
#include <utility>

namespace spillway::files {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kDisposition = "content-disposition:";
constexpr std::size_t kBoundaryMax = 70;  // RFC 2046.
constexpr std::size_t kHeadMax = 16 << 10;
constexpr std::size_t kPaddingMax = 64;  // Blanks between a boundary and its line end.

Error invalid(std::string why) {
  return Error{Errc::invalid_request, std::move(why), "", std::nullopt};
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool begins_with(std::string_view text, std::string_view lower_case) {
  return text.size() >= lower_case.size() &&
         std::equal(lower_case.begin(), lower_case.end(), text.begin(),
                    [](char wanted, char found) { return wanted == lower(found); });
}

bool is(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() && begins_with(text, lower_case);
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = lower(c);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

// %XX becomes its byte; `only` names those that are meant, all others are text.
std::string decode_percent(std::string_view text, std::string_view only) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool coded = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                       hex_digit(text[i + 2]) >= 0;
    if (coded) {
      const char byte = static_cast<char>(16 * hex_digit(text[i + 1]) + hex_digit(text[i + 2]));
      if (only.empty() || only.find(byte) != only.npos) {
        out.push_back(byte);
        i += 2;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

struct Parameter {
  std::string_view name;
  std::string value;
};

// A quoted value: browsers write "%22", "%0D" and "%0A" for what would end it, others a backslash.
std::string unquote(std::string_view& rest) {
  std::string raw;
  rest.remove_prefix(1);
  while (!rest.empty() && rest.front() != '"') {
    const bool escaped =
        rest.front() == '\\' && rest.size() > 1 && (rest[1] == '"' || rest[1] == '\\');
    if (escaped) rest.remove_prefix(1);
    raw.push_back(rest.front());
    rest.remove_prefix(1);
  }
  if (!rest.empty()) rest.remove_prefix(1);
  return decode_percent(raw, "\"\r\n");
}

// The next `; name=value`; nothing where there is none.
std::optional<Parameter> next_parameter(std::string_view& rest) {
  const auto begin = rest.find(';');
  if (begin == rest.npos) return std::nullopt;
  rest = rest.substr(begin + 1);
  const auto equals = rest.find('=');
  if (equals == rest.npos) return std::nullopt;
  Parameter parameter{trimmed(rest.substr(0, equals)), {}};
  rest = rest.substr(equals + 1);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  if (rest.starts_with('"')) {
    parameter.value = unquote(rest);
  } else {
    const auto end = std::min(rest.find(';'), rest.size());
    parameter.value = trimmed(rest.substr(0, end));
    rest = rest.substr(end);
  }
  return parameter;
}

PartHead disposition(std::string_view value) {
  PartHead head;
  bool extended = false;  // RFC 5987's filename* says it better than filename does.
  while (auto parameter = next_parameter(value)) {
    if (is(parameter->name, "filename*")) {
      const auto quote = parameter->value.rfind('\'');
      if (quote == std::string::npos) continue;
      head.filename = decode_percent(std::string_view(parameter->value).substr(quote + 1), {});
      extended = true;
    } else if (is(parameter->name, "filename")) {
      if (!extended) head.filename = std::move(parameter->value);
    } else if (is(parameter->name, "name")) {
      head.name = std::move(parameter->value);
    }
  }
  return head;
}

}  // namespace

Result<std::string> boundary_of(std::string_view content_type) {
  if (begins_with(content_type, "multipart/form-data")) {
    while (auto parameter = next_parameter(content_type)) {
      const bool fits = !parameter->value.empty() && parameter->value.size() <= kBoundaryMax;
      if (is(parameter->name, "boundary") && fits) return std::move(parameter->value);
    }
  }
  return invalid("send the file as multipart/form-data with a boundary");
}

MultipartReader::MultipartReader(const std::string& boundary)
    : delimiter_("\r\n--" + boundary), buffer_(kLineEnd) {}

void MultipartReader::push(std::string_view bytes) {
  if (state_ == State::done) return;
  buffer_.erase(0, at_);
  searched_ -= at_;
  at_ = 0;
  buffer_ += bytes;
}

Result<std::optional<Piece>> MultipartReader::next() {
  switch (state_) {
    case State::done: return std::optional<Piece>();
    case State::head: return read_head();
    case State::preamble:
    case State::data: return read_data();
  }
  return std::optional<Piece>();
}

MultipartReader::After MultipartReader::what_follows(std::size_t delimiter_end) const {
  std::string_view rest = std::string_view(buffer_).substr(delimiter_end);
  if (rest.starts_with("--")) return After::the_end;
  const auto padding = std::min(rest.find_first_not_of(" \t"), rest.size());
  rest.remove_prefix(padding);
  if (padding > kPaddingMax) return After::content;
  if (rest.starts_with(kLineEnd)) return After::another_part;
  const bool may_yet = rest.empty() || rest == "\r" || (padding == 0 && rest == "-");
  return may_yet ? After::undecided : After::content;
}

Result<std::optional<Piece>> MultipartReader::read_data() {
  while (true) {
    const auto found = buffer_.find(delimiter_, searched_);
    if (found == std::string::npos) {
      const auto held_back = std::min(buffer_.size() - searched_, delimiter_.size() - 1);
      searched_ = buffer_.size() - held_back;
      return take_data(searched_);
    }
    const auto end = found + delimiter_.size();
    const After after = what_follows(end);
    if (after == After::content) {
      searched_ = found + 1;
      continue;
    }
    searched_ = found;
    auto before = take_data(found);
    if (before || after == After::undecided) return before;
    if (after == After::the_end) {
      state_ = State::done;
      return std::optional<Piece>(Piece{});
    }
    at_ = searched_ = buffer_.find(kLineEnd, end);
    state_ = State::head;
    return read_head();
  }
}

std::optional<Piece> MultipartReader::take_data(std::size_t end) {
  const bool wanted = state_ == State::data && end > at_;
  const auto begin = std::exchange(at_, end);
  if (!wanted) return std::nullopt;
  return Piece{Piece::Kind::data, {}, buffer_.substr(begin, end - begin)};
}

Result<std::optional<Piece>> MultipartReader::read_head() {
  const std::string_view rest = std::string_view(buffer_).substr(at_);
  const auto end = rest.find(kHeadEnd);
  if (std::min(end, rest.size()) > kHeadMax)
    return invalid("a part of the form has a head too large");
  if (end == rest.npos) return std::optional<Piece>();
  Piece piece{Piece::Kind::part, {}, {}};
  for (std::string_view lines = rest.substr(0, end); !lines.empty();) {
    lines.remove_prefix(kLineEnd.size());
    const auto line = lines.substr(0, lines.find(kLineEnd));
    lines.remove_prefix(line.size());
    if (begins_with(line, kDisposition)) piece.head = disposition(line);
  }
  at_ = searched_ = at_ + end + kHeadEnd.size();
  state_ = State::data;
  return std::optional<Piece>(std::move(piece));
}

}  // namespace spillway::files
