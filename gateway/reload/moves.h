// What another policy would send elsewhere, by class. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace spillway {

// Requests of a class that would go elsewhere. "held": they wait; "refused": nobody is asked.
struct Move {
  std::string request_class;  // Empty: they were refused before they had one.
  std::string from;
  std::string to;
  std::uint64_t requests = 0;
  std::int64_t cost_change = 0;  // Nano-USD, of those that both send somewhere.
};

class Moves {
 public:
  void add(const std::string& request_class, const std::string& from, const std::string& to,
           std::int64_t cost_change) {
    Tally& tally = tallies_[{request_class, from, to}];
    ++tally.requests;
    tally.cost_change += cost_change;
  }

  void clear() { tallies_.clear(); }

  std::vector<Move> list() const {
    std::vector<Move> moves;
    for (const auto& [move, tally] : tallies_) {
      const auto& [request_class, from, to] = move;
      moves.push_back({request_class, from, to, tally.requests, tally.cost_change});
    }
    return moves;
  }

 private:
  struct Tally {
    std::uint64_t requests = 0;
    std::int64_t cost_change = 0;
  };

  std::map<std::tuple<std::string, std::string, std::string>, Tally> tallies_;
};

}  // namespace spillway
