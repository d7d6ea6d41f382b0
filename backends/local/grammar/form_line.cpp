#include "backends/local/grammar/form_line_internal.h"
#include "backends/process/codec.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>

namespace spillway::local::grammar {
namespace {

using process::A;

bool receive(int line, Deadline until, char* to, std::size_t count) {
  while (count > 0) {
    if (!is_readable(line, until)) return false;
    const ssize_t got = ::recv(line, to, count, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    count -= static_cast<std::size_t>(got);
  }
  return true;
}

bool send_all(int line, const char* from, std::size_t count) {
  while (count > 0) {
    const ssize_t sent = ::send(line, from, count, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    from += sent;
    count -= static_cast<std::size_t>(sent);
  }
  return true;
}

// A message of one byte, and a descriptor beside it.
struct Parcel {
  Parcel() {
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = room;
    message.msg_controllen = sizeof room;
  }

  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
};

struct Layout {
  static constexpr Form::Kind last_of(Form::Kind) { return Form::Kind::tags; }

  static void list(auto& fields, A<Vocabulary> auto& it) { fields(it.bytes, it.end_ids); }
  static void list(auto& fields, A<Form> auto& it) {
    fields(it.kind, it.text, it.choices, it.field);
  }
  static void list(auto& fields, A<Order> auto& it) { fields(it.form, it.time, it.memory); }
};

std::string bytes_of(const auto& it) {
  std::string bytes;
  process::Writer<Layout> fields(bytes);
  fields(it);
  return bytes;
}

template <class Type>
Type read_from(std::string_view bytes) {
  return process::Reader<Layout>(bytes).next<Type>();
}

}  // namespace

std::string packed(const Vocabulary& vocabulary) { return bytes_of(vocabulary); }
Vocabulary unpacked_vocabulary(std::string_view bytes) { return read_from<Vocabulary>(bytes); }
std::string packed(const Order& order) { return bytes_of(order); }
Order unpacked_order(std::string_view bytes) { return read_from<Order>(bytes); }

std::optional<std::array<process::Descriptor, 2>> make_line() {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return std::nullopt;
  return std::array{process::Descriptor(ends[0]), process::Descriptor(ends[1])};
}

bool is_readable(int line, Deadline until) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - Deadline::clock::now()).count();
    pollfd waits{line, POLLIN, 0};
    const int ready = ::poll(&waits, 1, static_cast<int>(std::clamp<long>(left, 0, 3'600'000)));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

bool is_hung_up(int line) {
  pollfd asked{line, 0, 0};
  return ::poll(&asked, 1, 0) > 0 && (asked.revents & (POLLHUP | POLLERR)) != 0;
}

bool send_frame(int line, std::string_view bytes) {
  const std::uint64_t size = bytes.size();
  return send_all(line, reinterpret_cast<const char*>(&size), sizeof size) &&
         send_all(line, bytes.data(), bytes.size());
}

std::optional<std::string> receive_frame(int line, Deadline until, std::size_t bytes_max) {
  std::uint64_t size = 0;
  if (!receive(line, until, reinterpret_cast<char*>(&size), sizeof size) || size > bytes_max)
    return std::nullopt;
  std::string bytes(size, '\0');
  if (!receive(line, until, bytes.data(), bytes.size())) return std::nullopt;
  return bytes;
}

bool send_line(int orders, const process::Descriptor& line) {
  Parcel parcel;
  cmsghdr* const header = CMSG_FIRSTHDR(&parcel.message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = line.get();
  std::memcpy(CMSG_DATA(header), &number, sizeof number);
  return ::sendmsg(orders, &parcel.message, MSG_NOSIGNAL) == 1;
}

process::Descriptor receive_line(int orders) {
  Parcel parcel;
  ssize_t got = 0;
  do {
    got = ::recvmsg(orders, &parcel.message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  const cmsghdr* const header = got == 1 ? CMSG_FIRSTHDR(&parcel.message) : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return {};
  int number = -1;
  std::memcpy(&number, CMSG_DATA(header), sizeof number);
  return process::Descriptor(number);
}

}  // namespace spillway::local::grammar
