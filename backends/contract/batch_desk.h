// A provider's batches API: requests that are handed over in a file, answered within hours at a
// lower price, and fetched. Whoever has one keeps it behind its Backend.
//
// What waits is called from any coroutine and needs nothing but that coroutine to live; dropping it
// gives the request up, and what the provider made of it is unknown then. What does not is pure.
#pragma once

#include "backends/contract/backend.h"
#include "backends/contract/chat.h"
#include "backends/contract/error.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// A line of such a file, and where its requests go.
struct BatchLine {
  std::string text;  // Without its end.
  std::string path;  // "/v1/chat/completions"
};

// A batch as its provider tells of it.
struct ProviderBatch {
  std::string id;
  std::string status;  // In the provider's word.
  bool ended = false;  // No more comes of it.
  int completed = 0;   // Lines, so far.
  int failed = 0;
  std::string output_file;  // Empty: there is none, or not yet.
  std::string error_file;
  std::string complaint;  // Why it was refused, if it was.
};

// What came of a line.
struct BatchAnswer {
  std::string id;     // Of the line, as it was handed over.
  int status = 0;     // 0: it was not asked at all.
  std::string body;   // As the provider would have answered the request alone.
  bool again = true;  // Nobody's fault: another time it may go well.
};

class BatchDesk {
 public:
  virtual ~BatchDesk() = default;

  // What asks `request` of the provider's `model`. unsupported: it has no words for that, or not in
  // batches.
  virtual Result<BatchLine> line(std::string_view id, const ChatRequest& request,
                                 std::string_view model) const = 0;

  // The file's id. It costs nothing, also where nobody comes back for it.
  virtual Async<std::string> upload(std::string lines, std::string name) = 0;

  // From here on it costs money. `label` is ours; it finds the batch again, which was made at
  // `since` (Unix time, by our clock) or later.
  virtual Async<ProviderBatch> create(std::string file, std::string path, std::string label) = 0;
  virtual Async<std::optional<ProviderBatch>> find(std::string label, std::int64_t since) = 0;

  virtual Async<ProviderBatch> look(std::string id) = 0;
  // It ends by itself then, a while later.
  virtual Async<ProviderBatch> cancel(std::string id) = 0;

  virtual Async<std::string> fetch(std::string file) = 0;
  virtual Async<void> remove(std::string file) = 0;

  // The lines of a file of results; what is no such line is left out.
  virtual std::vector<BatchAnswer> answers(std::string_view text) const = 0;

  // Who gives that answer to whoever asks, served at the batch rate.
  virtual std::unique_ptr<Backend> answering(BatchAnswer answer) const = 0;
};

}  // namespace spillway
