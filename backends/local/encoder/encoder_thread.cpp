#include "backends/local/encoder/encoder_thread.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <numeric>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace spillway::local {
namespace {

constexpr int kLowestPriority = 19;
constexpr std::chrono::milliseconds kAskAgain{500};

Error full() {
  return {Errc::overloaded, "the local encoder has as much to do as it may", "", kAskAgain};
}

Error stopped() {
  return {Errc::backend_unavailable, "the local encoder was stopped", "", std::nullopt};
}

}  // namespace

EncoderThread::EncoderThread(std::unique_ptr<Encoder> encoder, EncoderLimits limits)
    : encoder_(std::move(encoder)), limits_(limits), thread_([this] { run(); }) {}

EncoderThread::~EncoderThread() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  arrival_.notify_all();
  thread_.join();
  for (const auto& work : waiting_) work->job.answer(stopped());
}

Result<void> EncoderThread::ask(Job job) {
  assert(!job.inputs.empty());
  auto work = std::make_unique<Work>();
  work->order.resize(job.inputs.size());
  std::iota(work->order.begin(), work->order.end(), std::size_t{0});
  std::ranges::stable_sort(work->order, {}, [&](std::size_t i) { return job.inputs[i].size(); });
  work->embeddings.resize(job.inputs.size());
  work->job = std::move(job);
  {
    std::lock_guard lock(mutex_);
    if (jobs_ >= limits_.jobs_max) return full();
    ++jobs_;
    waiting_.push_back(std::move(work));
  }
  arrival_.notify_one();
  return {};
}

void EncoderThread::run() {
  pthread_setname_np(pthread_self(), "encoder");
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kLowestPriority);
  while (auto work = next()) pass(std::move(work));
}

// Null once the thread is to end.
std::unique_ptr<EncoderThread::Work> EncoderThread::next() {
  std::unique_lock lock(mutex_);
  arrival_.wait(lock, [this] { return stopped_ || !waiting_.empty(); });
  if (stopped_) return nullptr;
  const auto turn = [this](const std::unique_ptr<Work>& one) {
    const auto last = last_pass_.find(one->job.owner);
    return std::pair(one->job.lane, last == last_pass_.end() ? 0 : last->second);
  };
  const auto first = std::ranges::min_element(waiting_, {}, turn);
  auto work = std::move(*first);
  waiting_.erase(first);
  if (jobs_ == 1) last_pass_.clear();  // Nobody to take turns with.
  last_pass_[work->job.owner] = ++passes_;
  return work;
}

void EncoderThread::put_back(std::unique_ptr<Work> work) {
  std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(work));
}

void EncoderThread::pass(std::unique_ptr<Work> work) {
  const auto answer = [&](Result<std::vector<Embedding>> embeddings) {
    {
      std::lock_guard lock(mutex_);
      --jobs_;
    }
    work->job.answer(std::move(embeddings));
  };
  if (work->job.abandoned()) return answer(stopped());
  const std::size_t count = inputs_of_a_pass(*work);
  std::vector<TokenIds> inputs;
  for (std::size_t i = 0; i < count; ++i)
    inputs.push_back(std::move(work->job.inputs[work->order[work->done + i]]));
  auto embeddings = encoder_->embed(inputs);
  if (!embeddings) return answer(embeddings.error());
  for (std::size_t i = 0; i < count; ++i)
    work->embeddings[work->order[work->done + i]] = std::move((*embeddings)[i]);
  work->done += count;
  if (work->done < work->order.size()) return put_back(std::move(work));
  answer(std::move(work->embeddings));
}

std::size_t EncoderThread::inputs_of_a_pass(const Work& work) const {
  std::size_t count = 1;
  while (work.done + count < work.order.size()) {
    const std::size_t longest = work.job.inputs[work.order[work.done + count]].size();
    if ((count + 1) * longest > limits_.pass_tokens) break;
    ++count;
  }
  return count;
}

}  // namespace spillway::local
