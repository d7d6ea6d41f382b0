#include "backends/cloud/easy.h"

#include "backends/cloud/upstream.h"

#include <curl/curl.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace spillway::cloud {

namespace {

constexpr long kCertificatesKept = 10;  // Seconds; libcurl's own day would outlive an authority.

template <class Value>
void set(void* handle, CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(handle, option, value);
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  if (code != CURLE_OK) {
    throw std::runtime_error(std::string("libcurl: ") + curl_easy_strerror(code));
  }
}

bool has_one_named_as(std::string_view header, const std::vector<std::string>& lines) {
  const auto name = header.substr(0, header.find(':') + 1);
  return std::any_of(lines.begin(), lines.end(),
                     [name](const std::string& line) { return line.starts_with(name); });
}

void set_security(void* handle, const Upstream& upstream) {
  set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  set(handle, CURLOPT_FOLLOWLOCATION, 0L);
  set(handle, CURLOPT_SSL_VERIFYPEER, 1L);
  set(handle, CURLOPT_SSL_VERIFYHOST, 2L);
  set(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  // The system's folder of certificates stays in force beside it.
  if (!upstream.ca_file.empty()) set(handle, CURLOPT_CAINFO, upstream.ca_file.c_str());
  set(handle, CURLOPT_CA_CACHE_TIMEOUT, kCertificatesKept);
  // A proxy of the environment may tunnel https; over plain http it would read the key.
  if (upstream.manner.base_url.starts_with("http://")) set(handle, CURLOPT_PROXY, "");
}

}  // namespace

Easy::Easy(const Upstream& upstream, const Callbacks& callbacks) : handle_(curl_easy_init()) {
  if (handle_ == nullptr) throw std::bad_alloc();
  set_up(upstream);
  set(handle_, CURLOPT_PREREQFUNCTION, callbacks.on_request);
  set(handle_, CURLOPT_HEADERFUNCTION, callbacks.on_header);
  set(handle_, CURLOPT_WRITEFUNCTION, callbacks.on_body);
}

Easy::~Easy() {
  curl_easy_cleanup(handle_);
  curl_slist_free_all(headers_);
}

void Easy::set_up(const Upstream& upstream) {
  set_security(handle_, upstream);
  provider_ = upstream.dialect->headers(upstream.teller.key);
  provider_.emplace_back("Content-Type: application/json");
  provider_.emplace_back("Accept: application/json, text/event-stream");
  provider_.emplace_back("Expect:");  // No 100-continue round trip for large prompts.
  set(handle_, CURLOPT_USERAGENT, "spillway");
  // Not HTTP/2: there a client that reads slowly would hold up the others on its connection.
  set(handle_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(handle_, CURLOPT_TCP_NODELAY, 1L);
  set(handle_, CURLOPT_TCP_KEEPALIVE, 1L);
  set(handle_, CURLOPT_NOSIGNAL, 1L);
  set(handle_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(upstream.timeouts.connect.count()));
}

// libcurl reads the list until the transfer is over, and then is given another.
void Easy::set_headers(const std::vector<std::string>& lines) {
  curl_slist_free_all(std::exchange(headers_, nullptr));
  for (const std::string& line : provider_) {
    if (!has_one_named_as(line, lines)) append(line);
  }
  for (const std::string& line : lines) append(line);
  set(handle_, CURLOPT_HTTPHEADER, headers_);
}

void Easy::append(const std::string& line) {
  curl_slist* const longer = curl_slist_append(headers_, line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  headers_ = longer;
}

// A handle keeps what it was told for the request before.
void Easy::set_method(const HttpRequest& request) {
  if (request.method == Method::post) {
    set(handle_, CURLOPT_POST, 1L);
    set(handle_, CURLOPT_POSTFIELDS, request.body.c_str());
    set(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  } else {
    set(handle_, CURLOPT_HTTPGET, 1L);
  }
  const char* const other = request.method == Method::del ? "DELETE" : nullptr;
  set(handle_, CURLOPT_CUSTOMREQUEST, other);
}

void Easy::arm(const HttpRequest& request, void* self) {
  set(handle_, CURLOPT_URL, request.url.c_str());
  set_headers(request.headers);
  set_method(request);
  set(handle_, CURLOPT_FRESH_CONNECT, request.is_once ? 1L : 0L);
  set(handle_, CURLOPT_PREREQDATA, self);
  set(handle_, CURLOPT_HEADERDATA, self);
  set(handle_, CURLOPT_WRITEDATA, self);
  set(handle_, CURLOPT_PRIVATE, self);
}

}  // namespace spillway::cloud
