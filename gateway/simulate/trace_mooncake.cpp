#include "gateway/simulate/trace_formats_internal.h"

#include <cctype>

namespace spillway::simulate {

namespace {

constexpr double kFreeSeconds = 1.0;
constexpr double kTokensPerSecond = 8'000.0;  // What a long prompt's TTFT limit grows with.

// A flat JSON object of numbers and lists of numbers, from left to right.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  // Past blanks and `wanted`, if it is next.
  bool take(char wanted) {
    skip_blanks();
    if (!text_.starts_with(wanted)) return false;
    text_.remove_prefix(1);
    return true;
  }

  // The name of a member and its colon; empty if there is none.
  std::string_view take_name() {
    if (!take('"')) return {};
    const std::string_view name = text_.substr(0, text_.find('"'));
    text_.remove_prefix(name.size());
    return take('"') && take(':') ? name : std::string_view();
  }

  // A number's text; empty if there is none.
  std::string_view take_number() {
    skip_blanks();
    std::size_t size = 0;
    while (size < text_.size() && is_of_number(text_[size])) ++size;
    const std::string_view number = text_.substr(0, size);
    text_.remove_prefix(size);
    return number;
  }

  bool at_end() {
    skip_blanks();
    return text_.empty();
  }

 private:
  static bool is_of_number(char c) {
    return std::isdigit(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '+' ||
           c == 'e' || c == 'E';
  }

  void skip_blanks() {
    while (text_.starts_with(' ') || text_.starts_with('\t')) text_.remove_prefix(1);
  }

  std::string_view text_;
};

bool read_ids(Cursor& cursor, std::vector<std::uint64_t>& ids, std::uint32_t& count) {
  if (!cursor.take('[')) return false;
  if (cursor.take(']')) return true;
  do {
    const auto id = whole_number_of(cursor.take_number());
    if (!id) return false;
    ids.push_back(*id);
    ++count;
  } while (cursor.take(','));
  return cursor.take(']');
}

struct Seen {
  bool time = false;
  bool input = false;
  bool output = false;
  bool ids = false;
};

// False: no such member, or not a value for it.
bool read_member(std::string_view name, Cursor& cursor, ParsedRow& parsed, Seen& seen,
                 std::vector<std::uint64_t>& ids) {
  if (name == "hash_ids" && !seen.ids) {
    return seen.ids = read_ids(cursor, ids, parsed.row.prefix_count);
  }
  const std::string_view number = cursor.take_number();
  if (name == "timestamp") {
    const auto ticks = milliseconds_of(number);
    parsed.ticks = ticks.value_or(0);
    return seen.time = ticks.has_value();
  }
  if (name != "input_length" && name != "output_length") return false;
  const auto tokens = tokens_of(number);
  if (!tokens) return false;
  (name == "input_length" ? parsed.row.prompt_tokens : parsed.row.completion_tokens) = *tokens;
  (name == "input_length" ? seen.input : seen.output) = true;
  return true;
}

}  // namespace

Result<ParsedRow> parse_mooncake(std::string_view line, std::vector<std::uint64_t>& prefix_ids) {
  const Error wrong = trace_error(
      R"(is not a request: write {"timestamp": 0, "input_length": 6758, "output_length": 500, )"
      R"("hash_ids": [0, 1]} with a time in ms and whole numbers)");
  Cursor cursor(line);
  ParsedRow parsed;
  Seen seen;
  if (!cursor.take('{')) return wrong;
  do {
    const std::string_view name = cursor.take_name();
    if (!read_member(name, cursor, parsed, seen, prefix_ids)) return wrong;
  } while (cursor.take(','));
  if (!cursor.take('}') || !cursor.at_end()) return wrong;
  if (!seen.time || !seen.input || !seen.output) return wrong;
  parsed.row.own_ttft = true;
  parsed.row.ttft_slo = kFreeSeconds + parsed.row.prompt_tokens / kTokensPerSecond;
  return parsed;
}

}  // namespace spillway::simulate
