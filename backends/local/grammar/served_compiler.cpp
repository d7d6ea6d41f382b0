#include "backends/local/grammar/served_compiler.h"

#include "backends/local/grammar/compiled_bytes_internal.h"
#include "backends/local/grammar/compiler_internal.h"
#include "backends/local/grammar/form_line_internal.h"
#include "backends/local/grammar/size_check.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace spillway::local::grammar {
namespace {

constexpr std::chrono::seconds kStartMax(60);
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

class ServedCompiler final : public Compiler {
 public:
  ServedCompiler(Vocabulary vocabulary, process::Program program, FormLimits limits)
      : program_(std::move(program)), limits_(limits), vocabulary_(std::move(vocabulary)) {}

  Result<std::shared_ptr<const Grammar>> compile(const Form& form) override {
    std::call_once(read_, [this] { read_vocabulary(); });
    const auto line = open_line();
    if (!line) return line.error();
    const auto began = SteadyClock::now();
    (void)send_frame(line->get(), packed(Order{form, limits_.time, limits_.memory}));
    const auto told =
        receive_frame(line->get(), began + limits_.time + kKillMax, limits_.compiled_max);
    if (told) return grammar_of(*told);
    if (stopped_) return no_server("the engine was stopped");
    return SteadyClock::now() - began < limits_.time ? takes_too_much(form) : takes_too_long(form);
  }

  void stop() override {
    stopped_ = true;
    std::lock_guard lock(mutex_);
    server_.reset();
  }

 private:
  void read_vocabulary() {
    file_ = file_of(packed(vocabulary_));
    tokens_.emplace(tokens_of(vocabulary_));
    no_json_ = no_json_of(vocabulary_.bytes);
    vocabulary_ = {};
  }

  // To a child that waits for an order.
  Result<process::Descriptor> open_line() {
    std::lock_guard lock(mutex_);
    for (int tries = 0; tries < 2 && !stopped_; ++tries) {
      if (!server_) {
        auto started = start();
        if (!started) return started.error();
        server_.emplace(std::move(*started));
      }
      (void)server_->process.lines();
      auto ends = make_line();
      if (!ends) return no_server("there are no descriptors left");
      if (send_line(server_->orders.get(), (*ends)[1])) return std::move((*ends)[0]);
      server_.reset();
    }
    return no_server("their process ends");
  }

  // Returns when the vocabulary has been read there.
  Result<Server> start() const {
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
    if (!receive_frame((*ends)[0].get(), SteadyClock::now() + kStartMax, 0))
      return no_server("their process does not start");
    return Server{std::move(*child), std::move((*ends)[0])};
  }

  Result<std::shared_ptr<const Grammar>> grammar_of(const std::string& told) const try {
    Unpacker unpacker(told);
    if (!unpacker.get<bool>()) {
      Error error;
      unpacker.get(error.code);
      unpacker.get(error.message);
      unpacker.get(error.param);
      return error;
    }
    const bool is_json = unpacker.get<bool>();
    return grammar_over(unpack_compiled(unpacker, *tokens_), is_json ? no_json_ : nullptr);
  } catch (const std::exception& exception) {
    return no_server(exception.what());
  }

  const process::Program program_;
  const FormLimits limits_;
  std::once_flag read_;
  Vocabulary vocabulary_;  // Until it has been read.
  process::Descriptor file_;
  std::optional<xgrammar::TokenizerInfo> tokens_;
  std::shared_ptr<const Bits> no_json_;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::optional<Server> server_;
};

}  // namespace

std::unique_ptr<Compiler> make_served_compiler(Vocabulary vocabulary, process::Program program,
                                               FormLimits limits) {
  return std::make_unique<ServedCompiler>(std::move(vocabulary), std::move(program), limits);
}

}  // namespace spillway::local::grammar
