#include "gateway/verbs/ask_admin.h"

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <sstream>

namespace spillway::verbs {

Result<AdminAnswer> ask_admin(const config::Endpoint& admin, const std::string& path) {
  const std::string where = admin.host + ":" + std::to_string(admin.port);
  boost::asio::ip::tcp::iostream stream;
  stream.expires_after(std::chrono::seconds(5));
  stream.connect(admin.host, std::to_string(admin.port));
  stream << "GET " << path << " HTTP/1.1\r\nhost: " << where << "\r\nconnection: close\r\n\r\n"
         << std::flush;
  std::string version;
  AdminAnswer answer;
  stream >> version >> answer.status;
  if (!stream || !version.starts_with("HTTP/")) {
    return Error{Errc::backend_unavailable, "no gateway answers at " + where, "", std::nullopt};
  }
  for (std::string line; std::getline(stream, line) && line != "\r";) continue;
  std::ostringstream body;
  body << stream.rdbuf();
  answer.body = body.str();
  return answer;
}

}  // namespace spillway::verbs
