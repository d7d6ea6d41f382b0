// Runs an encoder for many who ask, on a thread of its own and of the lowest priority: where cores
// are short, a decoder's steps go first.
//
// `ask` from any thread; answers are called on the encoder's. Work is done in passes of bounded
// size, one job's inputs at a time: foreground first, then the owners in turn, and the jobs of
// each, so that a long list, or many of them, holds up a short one of somebody else by little more
// than a pass. The end of the object ends the thread, and answers whoever waits.
#pragma once

#include "backends/contract/status.h"
#include "backends/local/encoder/encoder.h"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace spillway::local {

struct EncoderLimits {
  int jobs_max = 64;                // Asked and not answered; past it who asks is refused.
  std::size_t pass_tokens = 1'024;  // Padding included; an input that is longer has its own pass.
};

class EncoderThread {
 public:
  struct Job {
    std::vector<TokenIds> inputs;  // Not empty; each as Encoder::embed requires.
    std::function<void(Result<std::vector<Embedding>>)> answer;  // Called once.
    std::function<bool()> abandoned = [] { return false; };      // Nobody waits any more.
    Lane lane = Lane::foreground;
    std::string owner;
  };

  EncoderThread(std::unique_ptr<Encoder> encoder, EncoderLimits limits);
  ~EncoderThread();

  // overloaded if there are as many as there may be: the job is not answered then.
  Result<void> ask(Job job);

 private:
  struct Work {
    Job job;
    std::vector<std::size_t> order;  // Of its inputs, the shortest first: little is padded.
    std::size_t done = 0;
    std::vector<Embedding> embeddings;
  };

  void run();
  std::unique_ptr<Work> next();
  void pass(std::unique_ptr<Work> work);
  std::size_t inputs_of_a_pass(const Work& work) const;
  void put_back(std::unique_ptr<Work> work);

  const std::unique_ptr<Encoder> encoder_;
  const EncoderLimits limits_;
  std::mutex mutex_;
  std::condition_variable arrival_;
  std::deque<std::unique_ptr<Work>> waiting_;
  std::map<std::string, std::uint64_t> last_pass_;  // Of owners, by its number.
  std::uint64_t passes_ = 0;
  int jobs_ = 0;  // Those that wait, and the one at work.
  bool stopped_ = false;
  std::thread thread_;  // Last: it begins when all else is there.
};

}  // namespace spillway::local
