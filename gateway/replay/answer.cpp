#include "gateway/replay/answer.h"

namespace spillway::replay {
namespace {

constexpr std::size_t kBytesBeside = 512;  // What an entry takes beside its texts, roughly.

}  // namespace

std::size_t Answer::bytes() const {
  std::size_t sum = kBytesBeside + body.size() + content_type.size() + request_id.size();
  for (const auto& [name, value] : headers) sum += name.size() + value.size();
  return sum;
}

}  // namespace spillway::replay
