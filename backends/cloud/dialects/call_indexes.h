// The calls of one choice's stream, each under an index of its own: some providers leave the index
// out, or give all calls the same, where several are told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::cloud {

class CallIndexes {
 public:
  // `extra` (Delta::extra) with the indexes that its calls should have; unchanged where they do.
  std::string put_right(std::string extra);

 private:
  struct Call {
    std::optional<std::int64_t> said;  // The index as the provider has it.
    std::string id;
    std::int64_t index = 0;
    bool whole = false;  // All of its arguments came with its name.
  };

  std::int64_t index_of(std::string_view piece);
  std::int64_t begin(std::optional<std::int64_t> said, std::string id, bool whole);

  std::vector<Call> calls_;
};

}  // namespace spillway::cloud
