// A ResponseWriter in front of another: passes all on, for those who want to see some of it.
#pragma once

#include "gateway/http/response_writer.h"

#include <functional>
#include <string>
#include <utility>

namespace spillway {

class PassingWriter : public http::ResponseWriter {
 public:
  explicit PassingWriter(http::ResponseWriter& out) : out_(out) {}

  void set_header(std::string_view name, std::string_view value) override {
    out_.set_header(name, value);
  }
  Async<void> send(int status, std::string content_type, std::string body) override {
    return out_.send(status, std::move(content_type), std::move(body));
  }
  Async<void> begin_stream() override { return out_.begin_stream(); }
  Async<void> begin_file(std::string content_type, std::uint64_t bytes) override {
    return out_.begin_file(std::move(content_type), bytes);
  }
  Async<void> write(std::string piece) override { return out_.write(std::move(piece)); }
  Async<void> end(std::string last_piece) override { return out_.end(std::move(last_piece)); }
  void keep_alive(std::chrono::milliseconds quiet) override { out_.keep_alive(quiet); }
  void failing() override { out_.failing(); }
  void if_lost(std::function<void()> tell) override { out_.if_lost(std::move(tell)); }
  bool head_sent() const override { return out_.head_sent(); }
  int status() const override { return out_.status(); }

 protected:
  http::ResponseWriter& out_;
};

}  // namespace spillway
