// A model's chat template: a conversation in, the prompt's text out, with every byte that came from
// the conversation marked as input.
//
// Immutable once compiled; any thread may render. The template comes with the model and is not
// trusted: rendering has limits (Limits), and reaches nothing but what it is given.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"
#include "backends/local/template/marked_text.h"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::templates {

// The model's own words that templates refer to; empty if it has none. They are control text.
struct SpecialWords {
  std::string bos_token;
  std::string eos_token;
};

// How a template wants the calls of earlier turns.
struct EarlierCalls {
  bool text_arguments = false;  // Their arguments as text; else as the values that its JSON means.
  bool no_content = false;      // None for content where a turn only calls; else an empty text.
  bool short_ids = false;       // Ids of nine letters and digits.
};

class ChatTemplate {
 public:
  // Errors name the line.
  static Result<ChatTemplate> compile(std::string_view source, SpecialWords words,
                                      EarlierCalls calls = {});

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // The prompt for the assistant's next turn, which may call `tools` if there are any.
  // invalid_request, with the template's words or what went wrong where, if it does not take these
  // messages.
  Result<MarkedText> render(const std::vector<Message>& messages, const Tools* tools,
                            std::chrono::system_clock::time_point now) const;

  // With any variables, as a JSON object ("messages", "tools", "add_generation_prompt", …). All its
  // text is input.
  Result<MarkedText> render_json(std::string_view variables,
                                 std::chrono::system_clock::time_point now) const;

 private:
  struct Parts;
  explicit ChatTemplate(std::unique_ptr<const Parts> parts);

  std::unique_ptr<const Parts> parts_;
};

}  // namespace spillway::templates
