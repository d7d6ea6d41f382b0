// What who compiles forms in processes of their own and these say to each other: an order and what
// came of it, each as one frame over a line of its own, and that line's end over another.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/form.h"
#include "backends/local/grammar/grammar.h"
#include "backends/process/descriptor.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::local::grammar {

// Where the server finds what it begins with: the vocabulary, and who hands it lines.
inline constexpr int kVocabularyNumber = 3;
inline constexpr int kOrdersNumber = 4;

struct Order {
  Form form;
  std::chrono::milliseconds time{};
  std::size_t memory = 0;
};

std::string packed(const Vocabulary& vocabulary);
Vocabulary unpacked_vocabulary(std::string_view bytes);
std::string packed(const Order& order);
Order unpacked_order(std::string_view bytes);

std::optional<std::array<process::Descriptor, 2>> make_line();

// There is something to receive, or the other end is gone. False: it is too late.
bool is_readable(int line, Deadline until);
// Its other end is gone.
bool is_hung_up(int line);

// False, or none: the other end is gone, it is too late, or the frame has more bytes than that.
bool send_frame(int line, std::string_view bytes);
std::optional<std::string> receive_frame(int line, Deadline until, std::size_t bytes_max);
bool send_line(int orders, const process::Descriptor& line);
process::Descriptor receive_line(int orders);

}  // namespace spillway::local::grammar
