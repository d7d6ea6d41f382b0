#include "backends/cloud/written_bytes.h"

#include <algorithm>
#include <iterator>

namespace spillway::cloud {
namespace {

constexpr std::string_view kWordsOf[] = {"arguments", "content",  "refusal",
                                         "text",      "thinking", "transcript"};
constexpr std::size_t kNameBytesMax = 32;
constexpr int kHexDigits = 4;

unsigned value_of(char hex) {
  if (hex <= '9') return static_cast<unsigned>(hex - '0') & 15U;
  return (static_cast<unsigned>(hex | ' ') - 'a' + 10U) & 15U;
}

// Of what \uXXXX stands for, in UTF-8. A surrogate is half of four.
std::size_t bytes_of(unsigned code) {
  const bool is_surrogate = code >= 0xD800U && code < 0xE000U;
  if (code < 0x80U) return 1;
  return code < 0x800U || is_surrogate ? 2 : 3;
}

}  // namespace

std::size_t WrittenBytes::bytes() const {
  return told_[kWords] + *std::max_element(told_.begin() + kReasoning, told_.end());
}

void WrittenBytes::take(std::string_view json) {
  for (const char byte : json) {
    if (call_depth_ > 0) ++told_[kWords];
    if (in_string_) {
      take_in_string(byte);
    } else {
      take_between(byte);
    }
  }
}

void WrittenBytes::take_in_string(char byte) {
  if (hex_left_ > 0 || escaped_) return take_escaped(byte);
  if (byte == '\\') {
    escaped_ = true;
  } else if (byte == '"') {
    in_string_ = false;
  } else if (counts_) {
    count(1);
  } else if (last_.size() < kNameBytesMax) {
    last_ += byte;
  }
}

void WrittenBytes::take_escaped(char byte) {
  if (hex_left_ == 0) {
    escaped_ = false;
    code_ = 0;
    if (byte == 'u') {
      hex_left_ = kHexDigits;
    } else if (counts_) {
      count(1);
    }
    return;
  }
  code_ = code_ * 16U + value_of(byte);
  if (--hex_left_ == 0 && counts_) count(bytes_of(code_));
}

void WrittenBytes::take_between(char byte) {
  switch (byte) {
    case '"':
      in_string_ = true;
      last_.clear();
      break;
    case ':':
      member_ = last_;
      counts_ = kind_of(member_);
      break;
    case ',':
      member_.clear();
      counts_.reset();
      break;
    case '{':
    case '[': open(byte); break;
    case '}':
    case ']': close(); break;
    default: break;
  }
}

void WrittenBytes::open(char bracket) {
  ++depth_;
  if (call_depth_ == 0 && bracket == '{' && member_ == "input") {
    call_depth_ = depth_;
    ++told_[kWords];
  }
  if (details_depth_ == 0 && bracket == '[' && member_ == "reasoning_details")
    details_depth_ = depth_;
  member_.clear();
  counts_.reset();
}

void WrittenBytes::close() {
  if (call_depth_ == depth_) call_depth_ = 0;
  if (details_depth_ == depth_) details_depth_ = 0;
  --depth_;
}

std::optional<WrittenBytes::Kind> WrittenBytes::kind_of(std::string_view member) const {
  if (call_depth_ > 0) return std::nullopt;  // All of it counts.
  if (details_depth_ > 0)
    return member == "text" || member == "summary" ? std::optional(kReasoningDetails)
                                                   : std::nullopt;
  if (member == "reasoning") return kReasoning;
  if (member == "reasoning_content") return kReasoningContent;
  const bool is_of_words =
      std::find(std::begin(kWordsOf), std::end(kWordsOf), member) != std::end(kWordsOf);
  return is_of_words ? std::optional(kWords) : std::nullopt;
}

}  // namespace spillway::cloud
