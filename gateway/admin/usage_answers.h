// What was used and what it cost, in the words of OpenAI's organization API, and whether the book
// adds up. For a thread that may wait for the disk, one at a time.
#pragma once

#include "gateway/account/book_reader.h"
#include "gateway/admin/admin.h"

#include <memory>
#include <string_view>
#include <utility>

namespace spillway::admin {

class UsageAnswers {
 public:
  explicit UsageAnswers(std::unique_ptr<account::BookReader> book) : book_(std::move(book)) {}

  // Pages of buckets. `query` is what came after '?': see usage_query.h.
  Answer completions(std::string_view query);
  Answer embeddings(std::string_view query);
  Answer moderations(std::string_view query);
  Answer costs(std::string_view query);

  Answer audit();

 private:
  std::unique_ptr<account::BookReader> book_;
};

}  // namespace spillway::admin
