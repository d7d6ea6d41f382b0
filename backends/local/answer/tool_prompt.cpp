#include "backends/local/answer/tool_prompt.h"

#include <string>

namespace spillway::local::answer {
namespace {

std::string told(const Tools& tools, const CallSyntax& syntax) {
  std::string text = "## Tools\n\nYou may call these functions:\n" + tools.text +
                     "\n\nTo call a function, write exactly this, with its name and its arguments "
                     "as a JSON object:\n";
  for (const std::string_view part :
       {syntax.open, syntax.begin, syntax.before_name, std::string_view("NAME"), syntax.after_name,
        std::string_view("{\"ARGUMENT\": VALUE}"), syntax.after_arguments, syntax.end,
        syntax.close})
    text += part;
  return text;
}

}  // namespace

std::vector<Message> with_tools(std::vector<Message> messages, const Tools& tools,
                                const CallSyntax& syntax) {
  const bool has_system = !messages.empty() && (messages.front().role == Role::system ||
                                                messages.front().role == Role::developer);
  if (!has_system) messages.insert(messages.begin(), Message{Role::system, ""});
  std::string& content = messages.front().content;
  if (!content.empty()) content += "\n\n";
  content += told(tools, syntax);
  return messages;
}

}  // namespace spillway::local::answer
