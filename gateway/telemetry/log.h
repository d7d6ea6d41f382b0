// What Spillway says of itself: one JSON object a line, one line a request plus the events of its
// life.
//
// Any thread may call anything; nothing here ever waits for whoever reads the log. A request's line
// is made from its Receipt alone. Prompts, answers, keys and header values are never written; a
// provider's own words when it failed may quote the prompt, so they are written at level debug
// only.
#pragma once

#include "gateway/request/receipt.h"
#include "gateway/telemetry/line_writer.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace spillway::telemetry {

enum class Level { debug, info, warn, error };

// "debug" | "info" | "warn" | "error"
std::optional<Level> level_of(std::string_view name);
std::string_view name_of(Level level);

struct Field {
  std::string_view name;  // A snake_case constant.
  std::variant<std::string, std::int64_t, double> value;
};

// What became of a target, as "PROVIDER: it answered 503: its words" tells it, less those words.
std::string without_its_words(const std::string& cause);

class Log {
 public:
  static constexpr std::size_t kBytesMax = 4 << 20;

  // `descriptor` is usually 1 (stdout); it stays the caller's. Lines below `least` are left out.
  Log(int descriptor, Level least, std::size_t bytes_max = kBytesMax);

  // The access log: info if it went well or the client was at fault, warn if a target or we failed,
  // error if it was a fault of ours that a person must look at.
  void request(const Receipt& receipt);

  // Something in the gateway's life: started, reloaded, a breaker opened, stopping.
  void event(Level level, std::string_view message, std::initializer_list<Field> fields = {});

  void set_level(Level least) { least_.store(least, std::memory_order_relaxed); }

  // Lines lost because the reader was too slow.
  std::uint64_t dropped() const { return writer_.dropped(); }

  // Waits until all lines so far are out; false if that took longer than `limit`.
  bool flush(std::chrono::milliseconds limit) { return writer_.flush(limit); }

 private:
  std::atomic<Level> least_;
  LineWriter writer_;
};

}  // namespace spillway::telemetry
