// An answer's pieces as output items, one after the other: reasoning, message, function_call,
// custom_tool_call; each with its events.
//
// Of one request's coroutine; no I/O. A new kind of piece, or a new call, ends the item before it.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/responses/events.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace spillway::responses {

class Output {
 public:
  // `turn` makes the items' ids; `summary`: reasoning is told as a summary.
  Output(Events& events, std::string turn, bool summary);
  ~Output();

  void add(const Delta& delta);

  // No more comes; `whole` is false if the last item was cut.
  void end(bool whole);

  // The items so far, as a list.
  const nlohmann::ordered_json& items() const;

  void clear();

 private:
  enum class Kind { none, reasoning, text, refusal, call, custom };
  struct Items;

  void grow(Kind kind, std::string_view piece);
  void add_extra(const std::string& extra);
  void add_call(const nlohmann::ordered_json& piece);
  void open(Kind kind, std::string_view call_id = "", std::string_view name = "");
  void close(std::string_view status);
  void open_part();
  void close_part();
  void finish_part(nlohmann::ordered_json& item);
  std::string place() const;
  std::string place_in_item() const;

  Events& events_;
  const std::string turn_;
  const bool summary_;
  std::unique_ptr<Items> items_;
  Kind kind_ = Kind::none;  // Of the item that is open.
  std::string text_;        // Of its part, or its argument.
  std::string id_;
  std::int64_t call_ = -1;  // The index of the call that is open, as the target counts.
};

}  // namespace spillway::responses
