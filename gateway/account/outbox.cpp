#include "gateway/account/outbox.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace spillway::account {
namespace {

constexpr std::uint64_t kMagic = 0x3131'7879'6177'6c70;  // Its last two bytes are of this layout.
constexpr std::uint64_t kOfAnyLayout = 0x0000'ffff'ffff'ffff;
constexpr std::size_t kHeadBytes = 4'096;
constexpr Outbox::Index kNone = 0xffff'ffff;

struct Head {
  std::uint64_t magic;
  std::uint64_t slot_bytes;
  std::uint64_t slots;
};

Error failure(const std::string& path, const std::string& why) {
  return Error{Errc::internal, path + ": " + why, "", std::nullopt};
}

std::uint64_t mixed(std::uint64_t sum, const void* from, std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(from);
  std::uint64_t word = 0;
  for (; bytes > 0;
       at += std::min<std::size_t>(bytes, 8), bytes -= std::min<std::size_t>(bytes, 8)) {
    word = 0;
    std::memcpy(&word, at, std::min<std::size_t>(bytes, 8));
    sum = (sum ^ word) * 0x9e37'79b9'7f4a'7c15;
    sum ^= sum >> 29;
  }
  return sum;
}

std::uint64_t mixed(std::uint64_t sum, std::string_view text) {
  return mixed(sum ^ text.size(), text.data(), text.size());
}

// Nothing waits to be booked in a file of another layout. In all of them a slot begins with its
// state.
bool is_booked(int file, const Head& head) {
  struct stat its{};
  const bool is_whole = head.slot_bytes >= sizeof(SlotState) && head.slots > 0 &&
                        fstat(file, &its) == 0 &&
                        head.slots <= static_cast<std::uint64_t>(its.st_size) / head.slot_bytes;
  if (!is_whole || (head.magic & kOfAnyLayout) != (kMagic & kOfAnyLayout)) return false;
  for (std::uint64_t i = 0; i < head.slots; ++i) {
    SlotState state{};
    const auto at = static_cast<off_t>(kHeadBytes + i * head.slot_bytes);
    if (pread(file, &state, sizeof state, at) != sizeof state || state != SlotState::free)
      return false;
  }
  return true;
}

}  // namespace

std::uint64_t checksum_of(const Slot& slot) {
  std::uint64_t sum = kMagic;
  for (const std::string_view text :
       {slot.id.view(), slot.tenant.view(), slot.key.view(), slot.project.view(),
        slot.request_class.view(), slot.endpoint.view(), slot.model.view()})
    sum = mixed(sum, text);
  const std::int64_t numbers[] = {slot.held_at, slot.settled_at, slot.avoided, slot.legs_used};
  sum = mixed(sum, numbers, sizeof numbers);
  for (std::size_t i = 0; i < std::min<std::size_t>(slot.legs_used, kLegsMax); ++i) {
    const Leg& leg = slot.legs[i];
    sum = mixed(mixed(sum, leg.target.view()), leg.model.view());
    const std::int64_t amounts[] = {leg.local, leg.estimated, leg.amount};
    sum = mixed(mixed(sum, amounts, sizeof amounts), &leg.usage, sizeof leg.usage);
  }
  return sum;
}

struct Outbox::Mapping {
  void* memory = MAP_FAILED;
  std::size_t bytes = 0;
  std::size_t slots = 0;

  ~Mapping() {
    if (memory != MAP_FAILED) munmap(memory, bytes);
  }
};

Result<std::unique_ptr<Outbox>> Outbox::open(const std::string& path, std::size_t slots) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return failure(path, std::strerror(errno));
  Head head{};
  bool is_new = pread(file, &head, sizeof head, 0) != sizeof head || head.magic == 0;
  if (!is_new && (head.magic != kMagic || head.slot_bytes != sizeof(Slot))) {
    is_new = is_booked(file, head);
    if (!is_new) {
      ::close(file);
      return failure(path,
                     "is of another version, and holds what is not booked: start that version, "
                     "and stop it with SIGTERM");
    }
  }
  auto mapping = std::make_unique<Mapping>();
  mapping->slots = is_new ? slots : std::max<std::size_t>(slots, head.slots);
  mapping->bytes = kHeadBytes + mapping->slots * sizeof(Slot);
  int code = is_new && ftruncate(file, 0) != 0 ? errno : 0;
  if (code == 0) code = posix_fallocate(file, 0, static_cast<off_t>(mapping->bytes));
  if (code == 0) {
    mapping->memory = mmap(nullptr, mapping->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapping->memory == MAP_FAILED) code = errno;
  }
  ::close(file);
  if (code != 0) return failure(path, std::strerror(code));
  head = {kMagic, sizeof(Slot), mapping->slots};
  std::memcpy(mapping->memory, &head, sizeof head);
  return std::unique_ptr<Outbox>(new Outbox(std::move(mapping)));
}

Outbox::Outbox(std::unique_ptr<Mapping> mapping)
    : mapping_(std::move(mapping)),
      slots_(reinterpret_cast<Slot*>(static_cast<char*>(mapping_->memory) + kHeadBytes)),
      size_(mapping_->slots),
      next_(size_),
      free_(kNone),
      settled_(kNone) {
  for (std::size_t i = size_; i-- > 0;) {
    if (slots_[i].state.load() == SlotState::free) give_back(static_cast<Index>(i));
  }
}

Outbox::~Outbox() = default;

std::optional<Outbox::Index> Outbox::claim() {
  std::uint64_t head = free_.load(std::memory_order_acquire);
  while (static_cast<Index>(head) != kNone) {
    const auto first = static_cast<Index>(head);
    const std::uint64_t turn = (head >> 32) + 1;
    const std::uint64_t rest = next_[first].load(std::memory_order_relaxed) | turn << 32;
    if (free_.compare_exchange_weak(head, rest, std::memory_order_acq_rel,
                                    std::memory_order_acquire))
      return first;
  }
  return std::nullopt;
}

void Outbox::give_back(Index booked) {
  slots_[booked].state.store(SlotState::free, std::memory_order_release);
  std::uint64_t head = free_.load(std::memory_order_relaxed);
  std::uint64_t with = 0;
  do {
    next_[booked].store(static_cast<Index>(head), std::memory_order_relaxed);
    with = booked | (head >> 32) << 32;
  } while (!free_.compare_exchange_weak(head, with, std::memory_order_release,
                                        std::memory_order_relaxed));
}

void Outbox::put(Index settled) {
  Index head = settled_.load(std::memory_order_relaxed);
  do {
    next_[settled].store(head, std::memory_order_relaxed);
  } while (!settled_.compare_exchange_weak(head, settled, std::memory_order_release,
                                           std::memory_order_relaxed));
}

std::vector<Outbox::Index> Outbox::take_settled() {
  std::vector<Index> taken;
  for (Index at = settled_.exchange(kNone, std::memory_order_acquire); at != kNone;
       at = next_[at].load(std::memory_order_relaxed))
    taken.push_back(at);
  return taken;
}

std::vector<Outbox::Index> Outbox::left_behind() const {
  std::vector<Index> found;
  for (std::size_t i = 0; i < size_; ++i) {
    if (slots_[i].state.load() != SlotState::free) found.push_back(static_cast<Index>(i));
  }
  return found;
}

}  // namespace spillway::account
