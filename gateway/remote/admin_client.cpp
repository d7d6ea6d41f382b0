#include "gateway/remote/admin_client.h"

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <optional>
#include <sstream>

namespace spillway::remote {

Result<AdminAnswer> ask_admin(const AdminDoor& door, const std::string& method,
                              const std::string& path, const std::string& body) {
  const std::string where = door.at.host + ":" + std::to_string(door.at.port);
  boost::asio::ip::tcp::iostream stream;
  stream.expires_after(std::chrono::seconds(5));
  stream.connect(door.at.host, std::to_string(door.at.port));
  stream << method << " " << path << " HTTP/1.1\r\nhost: " << where << "\r\nconnection: close\r\n";
  if (!door.key.empty()) stream << "authorization: Bearer " << door.key << "\r\n";
  if (method != "GET") stream << "content-length: " << body.size() << "\r\n";
  stream << "\r\n" << body << std::flush;
  std::string version;
  AdminAnswer answer;
  stream >> version >> answer.status;
  if (!stream || !version.starts_with("HTTP/")) {
    return Error{Errc::backend_unavailable, "no gateway answers at " + where, "", std::nullopt};
  }
  for (std::string line; std::getline(stream, line) && line != "\r";) continue;
  std::ostringstream text;
  text << stream.rdbuf();
  answer.body = text.str();
  return answer;
}

}  // namespace spillway::remote
