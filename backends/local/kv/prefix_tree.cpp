#include "backends/local/kv/prefix_tree.h"

#include <algorithm>
#include <cassert>
#include <random>

namespace spillway::local {
namespace {

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

std::size_t PrefixTree::Hash::operator()(const KeyView& key) const {
  constexpr std::uint64_t kOdd = 0x9E37'79B9'7F4A'7C15;
  std::uint64_t hash = seed ^ (key.parent * kOdd);
  for (const std::int32_t token : key.tokens) {
    hash = (hash ^ static_cast<std::uint32_t>(token)) * kOdd;
    hash ^= hash >> 29;
  }
  return hash;
}

bool PrefixTree::Equal::operator()(const KeyView& one, const KeyView& other) const {
  return one.parent == other.parent && std::ranges::equal(one.tokens, other.tokens);
}

PrefixTree::PrefixTree(int blocks, int block_tokens, PrefixObserver* observer)
    : block_tokens_(static_cast<std::size_t>(block_tokens)),
      observer_(observer),
      nodes_(static_cast<std::size_t>(blocks), Hash{random_seed()}),
      places_(static_cast<std::size_t>(blocks)) {
  nodes_.max_load_factor(1.0F);  // Iterators stay good: there are never more nodes than blocks.
}

PrefixTree::Node PrefixTree::insert(std::string_view owner, NodeId parent,
                                    std::span<const std::int32_t> tokens, std::int32_t block) {
  assert(tokens.size() == block_tokens_ && !holds(block));
  std::lock_guard lock(mutex_);
  auto root = roots_.find(owner);
  if (root == roots_.end()) root = roots_.emplace(owner, Root{++last_id_, 0}).first;
  const NodeId above = parent != 0 ? parent : root->second.id;
  if (const auto known = find(above, tokens)) return *known;
  Key key{above, {tokens.begin(), tokens.end()}};
  const Place place{{++last_id_, block}, root};
  places_[static_cast<std::size_t>(block)] = nodes_.emplace(std::move(key), place).first;
  ++root->second.nodes;
  if (observer_ != nullptr) observer_->inserted(owner, parent, tokens, block);
  return place.node;
}

void PrefixTree::erase(std::int32_t block) {
  std::lock_guard lock(mutex_);
  auto& place = places_[static_cast<std::size_t>(block)];
  if (!place) return;
  const Roots::iterator root = (*place)->second.root;
  if (--root->second.nodes == 0) roots_.erase(root);
  nodes_.erase(*place);
  place.reset();
  if (observer_ != nullptr) observer_->erased(block);
}

std::vector<PrefixTree::Node> PrefixTree::path(std::string_view owner,
                                               std::span<const std::int32_t> tokens) const {
  std::lock_guard lock(mutex_);
  std::vector<Node> path;
  const auto root = roots_.find(owner);
  if (root == roots_.end()) return path;
  NodeId above = root->second.id;
  for (std::size_t at = 0; at + block_tokens_ < tokens.size(); at += block_tokens_) {
    const auto node = find(above, tokens.subspan(at, block_tokens_));
    if (!node) break;
    path.push_back(*node);
    above = node->id;
  }
  return path;
}

int PrefixTree::cached_tokens(std::string_view owner, std::span<const std::int32_t> tokens) const {
  return static_cast<int>(path(owner, tokens).size() * block_tokens_);
}

std::optional<PrefixTree::Node> PrefixTree::find(NodeId parent,
                                                 std::span<const std::int32_t> tokens) const {
  const auto found = nodes_.find(KeyView(parent, tokens));
  if (found == nodes_.end()) return std::nullopt;
  return found->second.node;
}

}  // namespace spillway::local
