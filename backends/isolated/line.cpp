#include "backends/isolated/line.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace spillway::isolated {
namespace {

constexpr std::size_t kBytes = 2 * sizeof(RingHead) + kOrderBytes + kWordBytes;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr int kAboveTheirs = 16;  // So that putting one in its place never overwrites another.

Error failed(const char* what) {
  return {Errc::internal, std::string(what) + ": " + std::strerror(errno), "", std::nullopt};
}

process::Descriptor raised(int number) {
  const process::Descriptor low(number);
  return process::Descriptor(::fcntl(number, F_DUPFD_CLOEXEC, kAboveTheirs));
}

}  // namespace

Result<std::unique_ptr<Line>> Line::create() {
  std::unique_ptr<Line> line(new Line);
  line->memory_ = raised(::memfd_create("spillway-engine", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!line->memory_.open() || ::ftruncate(line->memory_.get(), kBytes) != 0 ||
      ::fcntl(line->memory_.get(), F_ADD_SEALS, kSeals) != 0)
    return failed("no shared memory");
  line->engine_bell_ = raised(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  line->gateway_bell_ = raised(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed("no pipe");
  line->lifeline_ = raised(ends[0]);
  line->lifeline_held_ = raised(ends[1]);
  if (!line->engine_bell_.open() || !line->gateway_bell_.open() || !line->lifeline_.open() ||
      !line->lifeline_held_.open())
    return failed("no descriptor");
  if (auto mapped = line->map(); !mapped) return mapped.error();
  return line;
}

Result<std::unique_ptr<Line>> Line::inherited() {
  std::unique_ptr<Line> line(new Line);
  line->memory_ = process::Descriptor(kMemoryNumber);
  line->engine_bell_ = process::Descriptor(kEngineBellNumber);
  line->gateway_bell_ = process::Descriptor(kGatewayBellNumber);
  line->lifeline_ = process::Descriptor(kLifelineNumber);
  for (int number = kMemoryNumber; number <= kLifelineNumber; ++number)
    (void)::fcntl(number, F_SETFD, FD_CLOEXEC);
  if (auto mapped = line->map(); !mapped) return mapped.error();
  return line;
}

Line::~Line() {
  if (mapped_ != nullptr) ::munmap(mapped_, kBytes);
}

Result<void> Line::map() {
  void* const at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
  if (at == MAP_FAILED) return failed("no shared memory");
  mapped_ = at;
  auto* const bytes = static_cast<std::byte*>(at);
  // Zero bytes are such heads already: nothing is constructed, as the other side may be at work.
  orders_ = reinterpret_cast<RingHead*>(bytes);
  words_ = reinterpret_cast<RingHead*>(bytes + sizeof(RingHead) + kOrderBytes);
  return {};
}

std::array<std::array<int, 2>, 4> Line::ends_of_engine() const {
  return {{{memory_.get(), kMemoryNumber},
           {engine_bell_.get(), kEngineBellNumber},
           {gateway_bell_.get(), kGatewayBellNumber},
           {lifeline_.get(), kLifelineNumber}}};
}

void quiet(int bell) {
  std::uint64_t times = 0;
  (void)!::read(bell, &times, sizeof times);
}

}  // namespace spillway::isolated
