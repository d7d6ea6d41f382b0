// How families of models write the calls of tools into their answers: one row a family.
//
// An answer with calls is, blanks apart,
//   open (begin before_name NAME after_name ARGUMENTS after_arguments end, `between` each) close
// as the model was taught, and as a grammar asks it of the model. Reading is less strict:
// call_head.h. Static data; any thread.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace spillway::local::answer {

struct CallSyntax {
  enum class Body {
    object,  // One JSON object has the name and the arguments.
    named,   // The name stands before the JSON of the arguments.
  };
  std::string_view family = {};
  Body body = Body::object;
  std::string_view open = {};
  std::string_view begin = {};
  std::string_view before_name = {};
  std::string_view after_name = {};
  std::string_view after_arguments = {};
  std::string_view end = {};
  std::string_view between = {};
  std::string_view close = {};
  std::string_view mark = {};   // What calls begin with in an answer; all else is content.
  bool unmarked = false;        // An answer may also begin with a call that has no mark.
  bool text_arguments = false;  // The template wants the arguments of earlier calls as text,
  bool no_content = false;      // …no content, not an empty one, where a turn only calls,
  bool short_ids = false;       // …and ids of nine letters and digits.
  std::array<std::string_view, 2> in_template = {};      // What a template of the family has in it…
  std::array<std::string_view, 2> not_in_template = {};  // …and what not; empty ones say nothing.
};

// Mistral's newer models put an id between name and arguments, which is theirs alone.
inline constexpr std::string_view kCallIdMark = "[CALL_ID]";

std::span<const CallSyntax> call_syntaxes();

// Null: there is none of this name.
const CallSyntax* syntax_named(std::string_view family);

// The family of a model with this chat template; null: none that is known.
const CallSyntax* syntax_of(std::string_view chat_template);

}  // namespace spillway::local::answer
