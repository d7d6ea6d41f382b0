#include "gateway/policy/admission.h"

namespace spillway::policy {

Permit& Permit::operator=(Permit&& other) noexcept {
  if (this == &other) return *this;
  release();
  admission_ = std::exchange(other.admission_, nullptr);
  return *this;
}

Permit::~Permit() { release(); }

void Permit::release() {
  if (!admission_) return;
  admission_->in_flight_.fetch_sub(1, std::memory_order_relaxed);
  admission_ = nullptr;
}

Result<Permit> Admission::enter() {
  const int before = in_flight_.fetch_add(1, std::memory_order_relaxed);
  if (before < max_.load(std::memory_order_relaxed)) return Permit(*this);
  in_flight_.fetch_sub(1, std::memory_order_relaxed);
  return Error{.code = Errc::overloaded,
               .message = "The gateway is answering as many requests as it may. Try again soon.",
               .retry_after = std::chrono::seconds(1)};
}

}  // namespace spillway::policy
