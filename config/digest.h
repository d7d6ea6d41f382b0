// Digests by OpenSSL's libcrypto: SHA-256, to name versions and to keep keys, and MD5, with which
// clients say what the parts of an upload should make together.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace spillway::config {

// 64 hexadecimal digits in lower case. Pure.
std::string sha256_hex(std::string_view bytes);

class Md5 {
 public:
  Md5();

  void add(std::string_view bytes);

  // 32 hexadecimal digits in lower case; empty where the system forbids MD5 (FIPS). Nothing may be
  // added after it.
  std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;  // Null: forbidden.
};

}  // namespace spillway::config
