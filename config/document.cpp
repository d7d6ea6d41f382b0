#include "config/document.h"

#include "config/value.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace spillway::config {
namespace {

constexpr std::size_t kDepthMax = 32;
constexpr int kNodesMax = 20'000;

// Ends the parse from inside yaml-cpp; caught in parse_document.
struct Refused {
  Problem problem;
};

Problem problem_at(const YAML::Mark& mark, std::string message) {
  return {mark.line + 1, mark.column + 1, "", std::move(message)};
}

// Builds the tree from yaml-cpp's events. An open container waits on the stack until its end.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, Document& document) : text_(text), document_(document) {
    for (std::size_t at = 0; at != std::string_view::npos && at < text.size();) {
      line_starts_.push_back(at);
      at = text.find('\n', at);
      if (at != std::string_view::npos) ++at;
    }
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{problem_at(mark, "a second document: only one is read")};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    complete(make(Node::Shape::nothing, mark, anchor));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{problem_at(mark, "aliases (*name) are not read: write the value out")};
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // `if: !streaming` is a tag without a value to YAML.
    if (tag.size() > 1 && tag.starts_with('!'))
      throw Refused{problem_at(
          mark, "tags (" + tag + ") are not read: for `not`, write not " + tag.substr(1))};
    Node node = make(Node::Shape::scalar, mark, anchor);
    node.text = value;
    node.text_column = text_column(mark, value);
    complete(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(Node::Shape::sequence, mark, anchor));
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(Node::Shape::mapping, mark, anchor));
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Node node;
    std::optional<Entry> pending;                // In a mapping: the key that waits for its value.
    std::unordered_map<std::string, int> lines;  // Of the keys seen in a mapping.
  };

  Node make(Node::Shape shape, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) {
      throw Refused{problem_at(mark, "anchors (&name) are not read: write the value out")};
    }
    if (++nodes_ > kNodesMax) {
      throw Refused{problem_at(mark, "more than " + std::to_string(kNodesMax) + " values")};
    }
    Node node;
    node.shape = shape;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }

  // Behind the quote, if there is one.
  int text_column(const YAML::Mark& mark, const std::string& value) const {
    const auto line = static_cast<std::size_t>(mark.line);
    if (value.empty() || mark.line < 0 || line >= line_starts_.size()) return 0;
    const std::string_view rest = text_.substr(
        std::min(line_starts_[line] + static_cast<std::size_t>(mark.column), text_.size()));
    const int quote = rest.starts_with('"') || rest.starts_with('\'') ? 1 : 0;
    const bool verbatim = rest.substr(std::min<std::size_t>(quote, rest.size())).starts_with(value);
    return verbatim ? mark.column + 1 + quote : 0;
  }

  void open(Node node) {
    if (stack_.size() >= kDepthMax) {
      throw Refused{{node.line, node.column, "",
                     "nested deeper than " + std::to_string(kDepthMax) + " levels"}};
    }
    stack_.push_back({std::move(node), std::nullopt, {}});
  }

  void close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    complete(std::move(node));
  }

  void complete(Node node) {
    if (stack_.empty()) {
      document_.root = std::move(node);
      return;
    }
    Open& parent = stack_.back();
    if (parent.node.shape == Node::Shape::sequence) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.pending) {
      begin_entry(parent, node);
    } else {
      end_entry(parent, std::move(node));
    }
  }

  static void begin_entry(Open& parent, const Node& key) {
    if (key.shape != Node::Shape::scalar) {
      throw Refused{{key.line, key.column, "", "a key must be a plain word"}};
    }
    parent.pending = Entry{key.text, key.line, key.column, {}};
  }

  void end_entry(Open& parent, Node value) {
    Entry entry = std::move(*parent.pending);
    parent.pending.reset();
    const auto [first, is_new] = parent.lines.emplace(entry.key, entry.line);
    if (!is_new) {
      document_.problems.push_back({entry.line, entry.column, "",
                                    "key " + in_quotes(entry.key) +
                                        " is given twice; first in line " +
                                        std::to_string(first->second)});
      return;
    }
    entry.value = std::move(value);
    parent.node.entries.push_back(std::move(entry));
  }

  std::string_view text_;
  std::vector<std::size_t> line_starts_;
  Document& document_;
  std::vector<Open> stack_;
  int nodes_ = 0;
  int documents_ = 0;
};

// Length of the valid UTF-8 character at `at`, or 0.
std::size_t character_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong =
      (lead == 0xe0 && byte(at + 1) < 0xa0) || (lead == 0xf0 && byte(at + 1) < 0x90);
  const bool beyond =
      (lead == 0xed && byte(at + 1) > 0x9f) || (lead == 0xf4 && byte(at + 1) > 0x8f);
  return overlong || beyond ? 0 : length;
}

// yaml-cpp takes some control characters for its own marks (0x04 ends its input), so none get
// there.
std::optional<Problem> check_characters(std::string_view text) {
  int line = 1;
  std::size_t line_start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const std::size_t length = character_length(text, at);
    const bool control =
        (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7f;
    if (length == 0 || control) {
      return Problem{line, static_cast<int>(at - line_start) + 1, "",
                     control ? "a control character" : "not UTF-8"};
    }
    at += length;
    if (byte != '\n') continue;
    ++line;
    line_start = at;
  }
  return std::nullopt;
}

// Where a tab indents the line, or the one before it.
std::optional<Problem> tab_before(std::string_view text, int line) {
  std::size_t start = 0;
  std::optional<Problem> found;
  for (int at = 1; at <= line && start < text.size(); ++at) {
    const std::size_t first = text.find_first_not_of(' ', start);
    if (at >= line - 1 && first != text.npos && text[first] == '\t')
      found = Problem{at, static_cast<int>(first - start) + 1, "",
                      "not YAML: a line is indented by a tab, where only spaces can be"};
    start = std::min(text.find('\n', start), text.size() - 1) + 1;
  }
  return found;
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

Document parse_document(std::string_view text) {
  Document document;
  if (auto problem = check_characters(text)) {
    document.problems.push_back(std::move(*problem));
    return document;
  }
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    TreeBuilder builder(text, document);
    while (parser.HandleNextDocument(builder)) continue;
  } catch (const Refused& refused) {
    document.problems.push_back(refused.problem);
  } catch (const YAML::Exception& error) {
    const Problem as_told = problem_at(error.mark, "not YAML: " + error.msg);
    document.problems.push_back(tab_before(text, as_told.line).value_or(as_told));
  } catch (const std::exception& error) {
    document.problems.push_back({0, 0, "", std::string("not YAML: ") + error.what()});
  }
  return document;
}

}  // namespace spillway::config
