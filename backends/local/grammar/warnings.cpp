#include "backends/local/grammar/warnings.h"

#include <stdexcept>

namespace spillway::local::grammar {
namespace {

thread_local Warnings* listening = nullptr;

}  // namespace

Warnings::Warnings() { listening = this; }
Warnings::~Warnings() { listening = nullptr; }

void Warnings::add(const std::string& warning) {
  if (first_.empty()) first_ = warning;
}

}  // namespace spillway::local::grammar

// Declared in xgrammar's own logging, which asks whoever builds it for these two.
namespace xgrammar {

void LogMessageImpl(const std::string&, int, int, const std::string& message) {
  if (spillway::local::grammar::listening != nullptr)
    spillway::local::grammar::listening->add(message);
}

[[noreturn]] void LogFatalImpl(const std::string&, int, const std::string& message) {
  throw std::runtime_error(message);
}

}  // namespace xgrammar
