// How one kind of provider writes a request and says its answer: where to post, who one is, the
// body, and what comes back.
//
// A Dialect has no state and serves any thread; an AnswerReader belongs to one answer and to the
// cloud thread. Untrusted bytes in, so everything is checked.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::cloud {

// What a provider says is wrong.
struct Complaint {
  std::string message;
  std::string type;
  std::string code;
  std::string param;   // The field of the request that it is about.
  std::string reason;  // Google's finer word, or the status where it has none.
  // It answered, and bills that, but not as this request wants it: others get what they ask for.
  bool answered = false;
  bool ends = false;  // Its last word, but for what it bills: that may follow.
};

inline Complaint answered_amiss(std::string message) {
  return {.message = std::move(message), .answered = true};
}

// A finish reason that no answer has which is to be used.
inline Complaint ended_amiss(const std::string& reason) {
  return {.message = "the answer ended with " + reason, .ends = true};
}

struct Parsed {
  enum class Kind {
    pieces,     // `deltas`, possibly none.
    done,       // What ends a stream; `deltas` may come with it.
    complaint,  // An error object instead of an answer, or a finish reason that means failure.
    garbage,    // Not of this dialect.
  };

  static Parsed garbage() { return {.kind = Kind::garbage}; }
  static Parsed complain(Complaint complaint) {
    return {.kind = Kind::complaint, .complaint = std::move(complaint)};
  }

  Kind kind = Kind::pieces;
  std::vector<Delta> deltas;
  std::optional<Usage> usage;            // Whatever came: what it bills is owed.
  std::shared_ptr<const Beside> beside;  // Of an event without `deltas`.
  std::optional<bool> at_batch_rate;     // By the tier that it names, if it names one,
  std::optional<bool> at_dearer_rate;    // …and this too.
  Complaint complaint;
};

// What the operator says of one provider, as far as its dialect minds.
struct Manner {
  std::string base_url;
  std::string api_version;                  // Azure's; empty: none.
  std::vector<std::string> forward_fields;  // Beside the dialect's own; "*": all.
  std::vector<std::string> takes;           // As config::ProviderTarget::takes.
  std::string continues = "no";             // As config::ProviderTarget::continues.
};

class AnswerReader {
 public:
  virtual ~AnswerReader() = default;

  // One event of a stream.
  virtual Parsed event(std::string_view type, std::string_view data) = 0;

  // A whole answer: one Delta with `finish` for each choice.
  virtual Parsed answer(std::string_view body) = 0;

  // More is not read.
  virtual std::size_t answer_bytes_max() const { return 32 << 20; }
};

class Dialect {
 public:
  virtual ~Dialect() = default;

  // Where to post `request` for the provider's `model`.
  virtual std::string url(const ChatRequest& request, std::string_view model,
                          const Manner& manner) const = 0;

  // Header lines that say who asks; `key` may be empty.
  virtual std::vector<std::string> headers(const std::string& key) const = 0;

  // Further lines, of this request alone.
  virtual std::vector<std::string> headers_of(const ChatRequest& request,
                                              const Manner& manner) const {
    (void)request, (void)manner;
    return {};
  }

  // The body to send for it. What is to be gone on with (ChatRequest::begun) is asked for as
  // `manner.continues` says. Fails with invalid_request if the client's body is no JSON object,
  // with unsupported if it asks for what this dialect has no words for.
  virtual Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                           const Manner& manner) const = 0;

  // What of `request` is not in that body; see Backend::left_out.
  virtual std::vector<std::string> left_out(const ChatRequest& request,
                                            const Manner& manner) const = 0;

  virtual std::unique_ptr<AnswerReader> reader(const ChatRequest& request) const = 0;

  // What a whole answer and a stream's last event are called, for complaints.
  virtual std::string_view answer_name() const = 0;
  virtual std::string_view last_event() const = 0;
};

// Null if this room knows none of that name.
const Dialect* dialect_named(std::string_view name);

// The error object in a body, in the shapes that providers use; nullopt if there is none.
std::optional<Complaint> parse_complaint(std::string_view body);

}  // namespace spillway::cloud
