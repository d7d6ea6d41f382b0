#include "gateway/http/request_id.h"

#include <cstdint>
#include <random>
#include <string_view>

namespace spillway::http {
namespace {

void append_hex(std::string& out, std::uint64_t value, int digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i) out.push_back(kDigits[(value >> (4 * i)) & 0xf]);
}

std::mt19937_64 seeded_generator() {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device()};
  return std::mt19937_64(seed);
}

}  // namespace

std::string next_request_id() {
  thread_local std::mt19937_64 generator = seeded_generator();
  std::string id;
  id.reserve(28);
  id += "req_";
  append_hex(id, generator(), 16);
  append_hex(id, generator(), 8);
  return id;
}

}  // namespace spillway::http
