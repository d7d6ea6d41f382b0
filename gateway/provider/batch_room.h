// The files and batches of one simulated provider, as OpenAI's batches API has them: requests of
// /v1/chat/completions, answered at the script's pace and billed as one bill.
//
// Any worker; a call takes a mutex. All is in memory, as long as the provider runs.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "backends/simulated/performance.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::provider {

struct BatchCounts {
  std::uint64_t created = 0;
  std::uint64_t lines = 0;  // Answered, and billed.
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
};

class BatchRoom {
 public:
  // POST /v1/files, as a form: the file's object.
  Result<std::string> keep(std::string_view content_type, std::string_view form);
  Result<std::string> content(const std::string& file);
  Result<std::string> remove(const std::string& file);

  // POST /v1/batches. What `script` says by now is what will become of it.
  Result<std::string> create(std::string_view body, const simulated::BatchScript& script);
  Result<std::string> look(const std::string& id);
  Result<std::string> cancel(const std::string& id);
  std::string list(std::string_view after, int limit);

  BatchCounts counts() const;

 private:
  struct Batch {
    std::string id;
    std::string input_file;
    std::string endpoint;
    std::string metadata;  // JSON
    std::string status = "in_progress";
    std::string output_file;  // Empty until it has ended.
    std::string error_file;
    int lines = 0;
    int completed = 0;
    int failed = 0;
    TimePoint created{};
    simulated::BatchScript script;
  };

  // Of these: the mutex is held.
  void bring_up_to_date(Batch& batch, bool end_now = false);
  void answer_all(Batch& batch, double share, std::string status);
  std::string answer(const nlohmann::json& line);
  std::string new_file(std::string text);
  std::string object_of(Batch& batch);
  Result<Batch*> find(const std::string& id);

  mutable std::mutex mutex_;
  std::map<std::string, std::string> files_;
  std::vector<Batch> batches_;  // The oldest first.
  int next_file_ = 1;
  BatchCounts counts_;
};

}  // namespace spillway::provider
