#include "gateway/policy/prompt_marks.h"

#include <algorithm>

namespace spillway::policy {
namespace {

// A shorter beginning is read again sooner than it is looked for.
constexpr std::size_t kBytesLeast = 256;
constexpr std::size_t kBytesRead = 64 << 10;  // What comes later marks nothing.
constexpr std::size_t kLastMessages = 6;

constexpr std::uint64_t kFnvBasis = 14'695'981'039'346'656'037ULL;
constexpr std::uint64_t kFnvPrime = 1'099'511'628'211ULL;

std::string_view name_of(Role role) {
  constexpr std::array<std::string_view, 5> kNames{"s", "d", "u", "a", "t"};
  return kNames[static_cast<std::size_t>(role)];
}

// Reads a prompt once, and says at each place what stood before it.
class Reading {
 public:
  void aside(std::string_view text) { mix(text); }

  template <class See>
  void read(std::string_view text, See see) {
    while (!text.empty() && bytes_ < kBytesRead) {
      const std::string_view piece = text.substr(0, next_ - bytes_);
      mix(piece);
      bytes_ += piece.size();
      text.remove_prefix(piece.size());
      if (bytes_ < next_) continue;
      see(mark());
      next_ *= 2;
    }
  }

  PromptMark mark() const { return {hash_, bytes_}; }

 private:
  void mix(std::string_view text) {
    for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * kFnvPrime;
    hash_ = (hash_ ^ text.size()) * kFnvPrime;
  }

  std::uint64_t hash_ = kFnvBasis;
  std::size_t bytes_ = 0;
  std::size_t next_ = kBytesLeast;
};

}  // namespace

PromptMarks::PromptMarks(const ChatRequest& request, std::string_view tenant,
                         std::string_view model) {
  Reading reading;
  const auto add = [this](const PromptMark& mark) {
    const bool is_new = size_ == 0 || marks_[size_ - 1].bytes < mark.bytes;
    if (is_new && mark.bytes >= kBytesLeast && size_ < kMax) marks_[size_++] = mark;
  };
  reading.aside(tenant);
  reading.aside(model);
  for (const WrittenPrompt& prompt : request.prompts) {
    reading.read(prompt.text, add);
    bytes_ += prompt.text.size();
  }
  std::size_t left = request.messages.size();
  for (const Message& message : request.messages) {
    reading.aside(name_of(message.role));
    reading.aside(message.name);
    reading.read(message.content, add);
    bytes_ += message.content.size();
    if (left-- <= kLastMessages) add(reading.mark());
  }
}

}  // namespace spillway::policy
