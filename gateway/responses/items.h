// Input items of the responses protocol: read from a request, and said as chat messages. Pure.
#pragma once

#include "gateway/responses/request.h"
#include "gateway/wire/fields.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

// The member of a call, in chat completions and in items of ours, that its target wants back.
inline constexpr const char* kBesideCall = "extra_content";

// `input` as a list of items, each with an id: of a text, one user message. `references` takes
// those that are only named.
std::string read_input(wire::Fields& request, const nlohmann::ordered_json& said,
                       std::string_view turn, std::optional<Error>& error,
                       std::vector<Reference>& references);

// Whether the item is but the name of another: a reference, or reasoning with nothing in it.
bool names_another(const nlohmann::ordered_json& item);

// A thought as the `encrypted_content` of its item, for clients that send back nothing else of it.
// Nothing is encrypted: the conversation is its client's.
std::string packed_thought(const std::string& text);

// A user's message of that text.
nlohmann::ordered_json item_of_text(const nlohmann::ordered_json& text);

// Gathers chat messages from items: calls join the assistant's message before them, and reasoning
// goes with the one behind it.
class Messages {
 public:
  Messages();
  ~Messages();

  void instructions(const nlohmann::ordered_json& text);

  // `path` names the item where it is at fault.
  void add(const nlohmann::ordered_json& item, const std::string& path);

  const std::optional<Error>& error() const { return error_; }
  bool tools() const { return tools_; }
  // What of the items no message can say, by the names of their fields.
  const std::vector<std::string>& unsaid() const { return unsaid_; }
  nlohmann::ordered_json take();

 private:
  struct Said;

  void add_message(const nlohmann::ordered_json& item, const std::string& path);
  void add_call(const nlohmann::ordered_json& item, bool custom);
  void add_result(const nlohmann::ordered_json& item, const std::string& path);
  void add_reasoning(const nlohmann::ordered_json& item);
  void add_compaction(const nlohmann::ordered_json& item, const std::string& path);
  nlohmann::ordered_json& assistant();
  nlohmann::ordered_json parts_of(const nlohmann::ordered_json& content, const std::string& path);
  nlohmann::ordered_json part_of(const nlohmann::ordered_json& part, const std::string& path);
  void note_unsaid(const nlohmann::ordered_json& item, const char* member);
  void fail(const std::string& path, std::string why);

  std::unique_ptr<Said> said_;
  std::string reasoning_;  // For the assistant's next message.
  std::optional<Error> error_;
  bool tools_ = false;
  std::vector<std::string> unsaid_;
};

}  // namespace spillway::responses
