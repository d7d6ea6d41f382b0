// What joins the two processes: a ring each way in one piece of shared memory, a bell for each
// side, and a lifeline that tells the engine when the gateway is gone.
//
// The gateway makes one for each engine that it starts, so that nothing of one that died is ever
// read by the next. The memory is sealed: who has it cannot make it smaller under the other.
#pragma once

#include "backends/contract/error.h"
#include "backends/isolated/ring.h"
#include "backends/process/descriptor.h"

#include <array>
#include <cstddef>
#include <memory>

namespace spillway::isolated {

// Where the engine's process finds its ends.
inline constexpr int kMemoryNumber = 3;
inline constexpr int kEngineBellNumber = 4;
inline constexpr int kGatewayBellNumber = 5;
inline constexpr int kLifelineNumber = 6;

inline constexpr std::size_t kOrderBytes = 8 << 20;  // A million tokens are a prompt of half of it.
inline constexpr std::size_t kWordBytes = 4 << 20;  // A picture of the longest queue is half of it.

class Line {
 public:
  // The gateway's side.
  static Result<std::unique_ptr<Line>> create();
  // The engine's, from the descriptors that its process began with.
  static Result<std::unique_ptr<Line>> inherited();
  ~Line();
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  RingWriter orders_out() const { return {orders_, kOrderBytes, engine_bell_.get()}; }
  RingReader orders_in() const { return {orders_, kOrderBytes}; }
  RingWriter words_out() const { return {words_, kWordBytes, gateway_bell_.get()}; }
  RingReader words_in() const { return {words_, kWordBytes}; }

  int engine_bell() const { return engine_bell_.get(); }
  int gateway_bell() const { return gateway_bell_.get(); }
  // The engine's end: readable (at its end) once the gateway is gone.
  int lifeline() const { return lifeline_.get(); }

  // What a process that is started must find at its numbers: pairs of here and there.
  std::array<std::array<int, 2>, 4> ends_of_engine() const;
  // The engine has its ends; those here would hold its lifeline up.
  void given() { lifeline_.close(); }

 private:
  Line() = default;
  Result<void> map();

  process::Descriptor memory_;
  process::Descriptor engine_bell_;
  process::Descriptor gateway_bell_;
  process::Descriptor lifeline_;  // The end that is read.
  process::Descriptor
      lifeline_held_;  // The gateway's: closed when it is gone, whatever befalls it.
  void* mapped_ = nullptr;
  RingHead* orders_ = nullptr;
  RingHead* words_ = nullptr;
};

// Forgets that the bell was rung.
void quiet(int bell);

}  // namespace spillway::isolated
