// A provider made of bare TCP for tests: what it sends, when, and how it hangs up is up to a
// function of the test. Knows nothing of HTTP but where a request ends.
//
// One thread a connection. Everything that waits gives up after kPatience, so no test can hang.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace spillway::test {

inline constexpr std::chrono::seconds kPatience{20};

// One request on one connection.
class Exchange {
 public:
  Exchange(int socket, std::string head, std::string body)
      : head(std::move(head)), body(std::move(body)), socket_(socket) {}

  const std::string head;
  const std::string body;

  // False if the peer has gone.
  bool send(std::string_view bytes);
  // True once the peer has closed; false if it did not within kPatience.
  bool wait_for_close();
  // No further request is read from this connection: it is closed when the function returns.
  void hang_up() { hung_up_ = true; }
  bool hung_up() const { return hung_up_; }

 private:
  const int socket_;
  bool hung_up_ = false;
};

class RawProvider {
 public:
  explicit RawProvider(std::function<void(Exchange&)> answer);
  ~RawProvider();  // Closes everything and joins.

  std::string base_url() const;  // Ends in /v1
  int connections() const { return connections_; }
  int requests() const { return requests_; }
  int closed_by_peer() const { return closed_by_peer_; }

 private:
  void accept_all();
  void serve(int socket);
  bool read_request(int socket, std::string& buffer, std::string& head, std::string& body);

  const std::function<void(Exchange&)> answer_;
  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<int> requests_{0};
  std::atomic<int> closed_by_peer_{0};  // While they waited for a further request.
  std::mutex mutex_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// Whether `condition` became true within kPatience.
bool eventually(const std::function<bool()>& condition);

}  // namespace spillway::test
