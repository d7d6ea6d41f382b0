// An answer's pieces as output items, one after the other: reasoning, message, function_call,
// custom_tool_call; each with its events.
//
// Of one request's coroutine; no I/O. A new kind of piece ends the text before it; calls grow
// until the end, several at a time, as some targets tell parallel ones.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/responses/events.h"
#include "gateway/wire/named_calls.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

// How reasoning is told.
struct ReasoningManner {
  bool summary = false;   // As a summary.
  bool portable = false;  // Once more, whole, in its item's `encrypted_content`.
};

class Output {
 public:
  // `turn` makes the items' ids.
  Output(Events& events, std::string turn, ReasoningManner reasoning);
  ~Output();

  void add(const Delta& delta);

  // No more comes; `whole` is false if the last item was cut.
  void end(bool whole);

  // The items so far, as a list.
  const nlohmann::ordered_json& items() const;

  void clear();

 private:
  enum class Kind { reasoning, text, refusal, call, custom };
  struct Items;

  // An item that grows.
  struct Growing {
    Kind kind;
    std::size_t at;  // Its place in the list.
    std::string id;
    std::int64_t call = 0;  // Its index, as the target counts calls.
    std::string text;       // Of its part, or its argument.

    bool is_call() const { return kind == Kind::call || kind == Kind::custom; }
  };

  Growing* growing_text();  // The one that grows and is no call, or null.
  void say(Kind kind, std::string_view piece);
  void add_extra(const std::string& extra);
  void add_call(const nlohmann::ordered_json& piece);
  void add_calls(const std::vector<nlohmann::ordered_json>& pieces);
  void annotate(const nlohmann::ordered_json& said);
  void note_logprobs(const std::string& logprobs);
  nlohmann::ordered_json take_logprobs();
  Growing& open(Kind kind, std::string_view call_id = "", std::string_view name = "");
  void grow(Growing& item, std::string_view piece);
  void close(const Growing& item, bool whole);
  void close_text();
  void open_part(const Growing& item);
  void close_part(const Growing& item);
  void finish_part(const Growing& item);
  std::string place_in(const Growing& item) const;
  nlohmann::ordered_json& object_of(const Growing& item) const;

  Events& events_;
  const std::string turn_;
  const ReasoningManner reasoning_;
  std::unique_ptr<Items> items_;
  wire::NamedCalls calls_;
  std::vector<Growing> growing_;  // Calls, and at most one of another kind.
};

}  // namespace spillway::responses
