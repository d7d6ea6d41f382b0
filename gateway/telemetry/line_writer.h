// Writes lines to a descriptor from a thread of its own, so that no caller ever waits for a disk, a
// pipe or a terminal.
//
// `write` may be called from any thread: it copies the line into a bounded buffer, or drops and
// counts it when the reader is so slow that the buffer is full. The destructor gives what is left a
// second to be written. The descriptor belongs to the caller.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace spillway::telemetry {

class LineWriter {
 public:
  LineWriter(int descriptor, std::size_t bytes_max);
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // `line` ends in a newline.
  void write(std::string_view line);

  // Waits until everything written before has reached the descriptor; false if that took longer.
  bool flush(std::chrono::milliseconds limit);

  std::uint64_t dropped() const;  // Lines.

 private:
  void run();
  bool put(std::string_view bytes);
  bool give_up() const;

  const int descriptor_;
  const std::size_t bytes_max_;
  const std::size_t chunk_;  // Most bytes that one write(2) can take without blocking.

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable written_;
  std::string waiting_;
  bool writing_ = false;
  bool stopping_ = false;
  bool hurried_ = false;  // Somebody waits in flush: do not gather.
  std::chrono::steady_clock::time_point give_up_at_{};
  std::uint64_t dropped_ = 0;

  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace spillway::telemetry
