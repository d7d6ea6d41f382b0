#include "gateway/openai/remarks.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace spillway::openai {
namespace {

const Beside kNothing{};

const Beside& said(const std::shared_ptr<const Beside>& beside) {
  return beside ? *beside : kNothing;
}

void add_piece(const std::string& members, std::vector<std::string>& pieces) {
  const bool is_new = !members.empty() && (pieces.empty() || pieces.back() != members);
  if (is_new) pieces.push_back(members);
}

std::string joined(const std::vector<std::string>& pieces) {
  if (pieces.empty()) return {};
  if (pieces.size() == 1) return pieces.front();
  nlohmann::ordered_json whole = nlohmann::ordered_json::object();
  for (const std::string& members : pieces) {
    const auto piece = nlohmann::ordered_json::parse("{" + members + "}", nullptr, false);
    if (piece.is_object()) whole.update(piece);
  }
  const std::string text =
      whole.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return text.substr(1, text.size() - 2);
}

}  // namespace

void append_members(std::string& out, std::string_view members) {
  if (!members.empty()) out.append(",").append(members);
}

void LastRemarks::add(const Delta& delta) {
  if (!delta.beside) return;
  if (delta.usage) usage_ = delta.beside;
  if (!delta.finish) return;
  const auto at = static_cast<std::size_t>(delta.choice);
  if (at >= finishes_.size()) finishes_.resize(at + 1);
  finishes_[at] = delta.beside;
}

const Beside& LastRemarks::of_finish(int choice) const {
  const auto at = static_cast<std::size_t>(choice);
  return at < finishes_.size() ? said(finishes_[at]) : kNothing;
}

const Beside& LastRemarks::of_usage() const { return said(usage_); }

void AllRemarks::add(const Delta& delta) {
  last_.add(delta);
  if (!delta.beside) return;
  const auto at = static_cast<std::size_t>(delta.choice);
  if (at >= choices_.size()) choices_.resize(at + 1);
  add_piece(delta.beside->choice, choices_[at]);
  add_piece(delta.beside->answer, answer_);
}

std::string AllRemarks::of_answer() const { return joined(answer_); }

std::string AllRemarks::of_choice(std::size_t choice) const {
  return choice < choices_.size() ? joined(choices_[choice]) : std::string();
}

}  // namespace spillway::openai
