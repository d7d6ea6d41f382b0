// Names for the beginnings of a prompt, so that a server which has read one of them is found again
// without keeping the prompt: a hash of the tenant, the model and what stands before each of a few
// places. Plain values; any thread.
#pragma once

#include "backends/contract/chat.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace spillway::policy {

struct PromptMark {
  std::uint64_t hash = 0;
  std::size_t bytes = 0;  // Of the prompt that it stands for.
};

class PromptMarks {
 public:
  static constexpr std::size_t kMax = 16;

  PromptMarks() = default;

  // Of what `request` asks `model`. Marks stand where half of the prompt's reach ends, again and
  // again (256 bytes, 512, …), and behind its last messages, where the next turn of a conversation
  // finds them.
  PromptMarks(const ChatRequest& request, std::string_view tenant, std::string_view model);

  std::span<const PromptMark> all() const { return {marks_.data(), size_}; }  // Shortest first.
  std::size_t bytes() const { return bytes_; }                                // Of the prompt.
  bool empty() const { return size_ == 0; }

 private:
  std::array<PromptMark, kMax> marks_;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace spillway::policy
