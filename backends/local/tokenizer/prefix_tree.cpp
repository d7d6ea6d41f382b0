#include "backends/local/tokenizer/prefix_tree.h"

#include <utility>

namespace spillway::tokenizer {
namespace {

constexpr std::size_t kSlotsFirst = 1 << 12;

}  // namespace

PrefixTree::PrefixTree(int roots)
    : ends_(static_cast<std::size_t>(roots), -1), slots_(kSlotsFirst) {}

void PrefixTree::add(std::int32_t root, std::string_view text, std::int32_t id) {
  std::int32_t node = root;
  for (const char byte : text) node = make_child(node, byte);
  if (node != root) ends_[node] = id;
}

std::int32_t PrefixTree::make_child(std::int32_t node, char byte) {
  if (2 * taken_ > slots_.size()) grow();
  Slot& slot = slots_[place_of(key_of(node, byte))];
  if (slot.key == 0) {
    slot = {key_of(node, byte), static_cast<std::int32_t>(ends_.size())};
    ends_.push_back(-1);
    ++taken_;
  }
  return slot.node;
}

void PrefixTree::grow() {
  const std::vector<Slot> before = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  for (const Slot& slot : before) {
    if (slot.key != 0) slots_[place_of(slot.key)] = slot;
  }
}

}  // namespace spillway::tokenizer
