#include "backends/local/grammar/served_compiler.h"

#include "backends/local/grammar/compiled_bytes_internal.h"
#include "backends/local/grammar/compiler_internal.h"
#include "backends/local/grammar/form_line_internal.h"
#include "backends/local/grammar/size_check.h"

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace spillway::local::grammar {
namespace {

constexpr std::chrono::seconds kStartMax(60);
constexpr std::chrono::milliseconds kLookAgain(100);  // Whether it was stopped meanwhile.
constexpr std::chrono::seconds kKillMax(2);  // From when its time is over until that is known.

Error no_server(std::string why) {
  return {Errc::backend_unavailable, "forms of answers cannot be prepared: " + std::move(why), "",
          std::chrono::milliseconds(1'000)};
}

process::Descriptor file_of(const std::string& bytes) {
  process::Descriptor file(::memfd_create("vocabulary", MFD_CLOEXEC));
  for (std::size_t at = 0; file.open() && at < bytes.size();) {
    const ssize_t put = ::write(file.get(), bytes.data() + at, bytes.size() - at);
    if (put <= 0) return {};
    at += static_cast<std::size_t>(put);
  }
  return file;
}

// The process, and the line over which it gets others.
struct Server {
  process::ChildProcess process;
  process::Descriptor orders;
};

// To a child of the server's that waits for an order.
struct Line {
  process::Descriptor end;
  std::uint64_t server = 0;  // Which: they are counted.
};

std::string why_not_started(process::ChildProcess& process, std::string last_line) {
  process.kill();
  const std::string end = process.bury();
  const auto lines = process.lines();
  if (!lines.empty()) last_line = lines.back();
  return "their process does not start: it " + end + (last_line.empty() ? "" : ": " + last_line);
}

class ServedCompiler final : public Compiler {
 public:
  ServedCompiler(Vocabulary vocabulary, process::Program program, FormLimits limits)
      : program_(std::move(program)), limits_(limits), vocabulary_(std::move(vocabulary)) {}

  Result<void> get_ready() override try {
    std::call_once(read_, [this] { read_vocabulary(); });
    std::lock_guard lock(mutex_);
    return have_server();
  } catch (const std::exception& exception) {
    return no_server(exception.what());
  }

  Result<std::shared_ptr<const Grammar>> compile(const Form& form) override try {
    std::call_once(read_, [this] { read_vocabulary(); });
    const std::string order = packed(Order{form, limits_.time, limits_.memory});
    for (int tries = 0; tries < 2; ++tries) {
      const auto line = open_line();
      if (!line) return line.error();
      const auto began = SteadyClock::now();
      (void)send_frame(line->end.get(), order);
      const auto told =
          receive_frame(line->end.get(), began + limits_.time + kKillMax, limits_.compiled_max);
      if (told) return grammar_of(*told);
      if (stopped_) return was_stopped();
      if (SteadyClock::now() - began >= limits_.time) return takes_too_long(form);
      if (!has_ended(line->server)) return takes_too_much(form);
    }
    return no_server("their process ends");
  } catch (const std::exception& exception) {
    return no_server(exception.what());
  }

  void stop() override {
    stopped_ = true;
    std::lock_guard lock(mutex_);
    server_.reset();
  }

 private:
  static Error was_stopped() { return no_server("the engine was stopped"); }

  void read_vocabulary() {
    packed_ = packed(vocabulary_);
    tokens_.emplace(tokens_of(vocabulary_));
    no_json_ = no_json_of(vocabulary_.bytes);
    vocabulary_ = {};
  }

  // All below with mutex_ locked, but for has_ended and grammar_of.
  Result<void> have_server() {
    if (stopped_) return was_stopped();
    if (server_ && !is_hung_up(server_->orders.get())) return {};
    server_.reset();
    auto started = start();
    if (!started) return started.error();
    server_.emplace(std::move(*started));
    ++servers_;
    return {};
  }

  Result<Line> open_line() {
    std::lock_guard lock(mutex_);
    for (int tries = 0; tries < 2; ++tries) {
      if (const auto ready = have_server(); !ready) return ready.error();
      (void)server_->process.lines();
      auto ends = make_line();
      if (!ends) return no_server("there are no descriptors left");
      if (send_line(server_->orders.get(), (*ends)[1]))
        return Line{std::move((*ends)[0]), servers_};
    }
    return no_server("their process ends");
  }

  // What a server holds of lines is closed after its end of `orders`.
  bool has_ended(std::uint64_t server) {
    std::lock_guard lock(mutex_);
    return server != servers_ || !server_ || is_hung_up(server_->orders.get());
  }

  // Returns when the vocabulary has been read there.
  Result<Server> start() {
    if (!file_.open()) {
      file_ = file_of(packed_);
      if (file_.open()) packed_ = {};
    }
    auto ends = make_line();
    if (!ends || !file_.open()) return no_server("there are no descriptors left");
    // Numbers above those that they are to have there.
    const process::Descriptor file(::fcntl(file_.get(), F_DUPFD_CLOEXEC, kOrdersNumber + 1));
    process::Descriptor end(::fcntl((*ends)[1].get(), F_DUPFD_CLOEXEC, kOrdersNumber + 1));
    const std::array<std::array<int, 2>, 2> inherits{
        {{file.get(), kVocabularyNumber}, {end.get(), kOrdersNumber}}};
    auto child = process::ChildProcess::start(program_, inherits);
    if (!child) return no_server(child.error().message);
    (*ends)[1].close();
    end.close();
    if (const auto begun = await(*child, (*ends)[0].get()); !begun) return begun.error();
    return Server{std::move(*child), std::move((*ends)[0])};
  }

  Result<void> await(process::ChildProcess& child, int line) const {
    const auto late = SteadyClock::now() + kStartMax;
    std::string last_line;
    while (!is_readable(line, SteadyClock::now() + kLookAgain) && SteadyClock::now() < late) {
      if (stopped_) return was_stopped();
      for (std::string& printed : child.lines()) last_line = std::move(printed);
    }
    if (receive_frame(line, SteadyClock::now(), 0)) return {};
    return no_server(why_not_started(child, std::move(last_line)));
  }

  Result<std::shared_ptr<const Grammar>> grammar_of(const std::string& told) const try {
    auto made = unpacked_made(told, *tokens_);
    if (made) return grammar_over(std::move(made->grammar), made->is_json ? no_json_ : nullptr);
    if (made.error().code != Errc::backend_unavailable) return made.error();
    return no_server(made.error().message);
  } catch (const std::exception& exception) {
    return no_server(exception.what());
  }

  const process::Program program_;
  const FormLimits limits_;
  std::once_flag read_;
  Vocabulary vocabulary_;  // Until it has been read.
  std::optional<xgrammar::TokenizerInfo> tokens_;
  std::shared_ptr<const Bits> no_json_;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::string packed_;        // The vocabulary, until the file has it.
  process::Descriptor file_;  // What each server reads it from.
  std::optional<Server> server_;
  std::uint64_t servers_ = 0;  // So far.
};

}  // namespace

std::unique_ptr<Compiler> make_served_compiler(Vocabulary vocabulary, process::Program program,
                                               FormLimits limits) {
  return std::make_unique<ServedCompiler>(std::move(vocabulary), std::move(program), limits);
}

}  // namespace spillway::local::grammar
