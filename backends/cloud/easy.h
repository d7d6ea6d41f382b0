// A libcurl easy handle set up for one provider once, and armed with one request after the other:
// setting a handle up costs more than using it.
//
// Belongs to the cloud thread. Refuses redirects, unverified TLS, and protocols other than HTTP.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

struct curl_slist;

namespace spillway::cloud {

struct Upstream;

enum class Method { get, post, del };

struct HttpRequest {
  std::string url;
  std::string body;                       // Of a POST.
  std::vector<std::string> headers = {};  // Of this one alone: "Name: value".
  Method method = Method::post;
  // Sent at most once: libcurl sends again what it sent on a kept connection that then broke.
  bool is_once = false;
};

class Easy {
 public:
  // libcurl's shape: bytes, 1, count, the pointer given to `arm`; returns the count taken.
  using Callback = std::size_t (*)(char*, std::size_t, std::size_t, void*);
  struct Callbacks {
    int (*on_request)(void*, char*, char*, int, int);  // Connected: the request goes out now.
    Callback on_header;
    Callback on_body;
  };

  // Throws std::bad_alloc if libcurl cannot make one, std::runtime_error if it lacks an option.
  Easy(const Upstream& upstream, const Callbacks& callbacks);
  ~Easy();
  Easy(const Easy&) = delete;
  Easy& operator=(const Easy&) = delete;

  // Gets ready to send that, with its headers beside the provider's own, or in their place where
  // both have the name; the body must stay until the transfer is over; `self` goes to the callbacks
  // and comes back as CURLINFO_PRIVATE.
  void arm(const HttpRequest& request, void* self);

  void* handle() const { return handle_; }

 private:
  void set_up(const Upstream& upstream);
  void set_headers(const std::vector<std::string>& lines);
  void append(const std::string& line);
  void set_method(const HttpRequest& request);

  void* handle_;                       // CURL*
  std::vector<std::string> provider_;  // The headers of all requests.
  curl_slist* headers_ = nullptr;      // With those of this one.
};

}  // namespace spillway::cloud
