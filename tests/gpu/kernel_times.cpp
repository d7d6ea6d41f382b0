// Where the time of steps goes, for any program that runs them: a library that CUDA loads by itself
// and that follows every kernel (CUPTI). When the program ends, it prints the kernels of the steps
// that took most of the time, by kind of step: decodes alone, or beside so many tokens of prompts.
//
// usage: CUDA_INJECTION64_PATH=…/libgpu_kernel_times.so KERNEL_TIMES=FILE PROGRAM…
//
// A kernel may start while the one before it ends, to wait there; so it counts from that one's end
// to its own. What nobody runs in is idle. A step begins with the kernel that looks up embeddings,
// one block a row.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cupti.h>
#include <cxxabi.h>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace spillway::gpu_test {
namespace {

constexpr std::size_t kBufferBytes = 8 << 20;
constexpr int kRowsOfKind = 128;  // Steps with prompts are one kind as far as so many rows go.
constexpr std::size_t kKindsMax = 8;

struct Run {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  int name = 0;
  int blocks = 0;
};

// Without namespaces and arguments; of a long one the beginning.
std::string short_name(const char* mangled) {
  int status = 0;
  char* const demangled = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = status == 0 ? demangled : mangled;
  std::free(demangled);
  for (const std::string what : {"spillway::kernels::", "(anonymous namespace)::", "void "}) {
    for (std::size_t at; (at = name.find(what)) != std::string::npos;) name.erase(at, what.size());
  }
  constexpr std::size_t kLongest = 44;
  return name.substr(0, std::min(name.rfind('('), kLongest));
}

class Trace {
 public:
  void add(const CUpti_ActivityKernel10& kernel) {
    const std::lock_guard lock(mutex_);
    const auto [known, is_new] =
        ids_.emplace(std::string(kernel.name), static_cast<int>(names_.size()));
    if (is_new) names_.push_back(short_name(kernel.name));
    runs_.push_back({kernel.start, kernel.end, known->second, kernel.gridX});
  }

  void print(std::FILE* out) {
    std::sort(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) { return a.end < b.end; });
    cut();
    std::vector<std::pair<double, std::string>> order;
    for (const auto& [kind, steps] : kinds_) {
      double total = 0;
      for (const Step& step : steps) total += length(step);
      order.emplace_back(-total, kind);
    }
    std::sort(order.begin(), order.end());
    if (order.size() > kKindsMax) order.resize(kKindsMax);
    for (const auto& [total, kind] : order) print_kind(out, kind, -total);
  }

 private:
  struct Step {
    std::size_t begin = 0;  // Of runs_.
    std::size_t end = 0;
  };
  struct Share {
    int calls = 0;
    double seconds = 0;
  };

  bool named(const Run& run, const char* part) const {
    return names_[static_cast<std::size_t>(run.name)].find(part) != std::string::npos;
  }

  // From the end of what ran before it to the end of its last kernel.
  double length(const Step& step) const {
    const std::uint64_t from = step.begin > 0 ? runs_[step.begin - 1].end : runs_[0].start;
    return static_cast<double>(runs_[step.end - 1].end - from) * 1e-9;
  }

  void cut() {
    std::size_t begin = runs_.size();
    for (std::size_t at = 0; at <= runs_.size(); ++at) {
      if (at < runs_.size() && !named(runs_[at], "embed")) continue;
      if (begin < at) keep({begin, at});
      begin = at;
    }
  }

  void keep(const Step& step) {
    bool has_prompts = false;
    for (std::size_t at = step.begin; at < step.end; ++at) {
      has_prompts = has_prompts || named(runs_[at], "chunk") || named(runs_[at], "prefill");
    }
    const int rows = runs_[step.begin].blocks;
    const int most = (rows + kRowsOfKind - 1) / kRowsOfKind * kRowsOfKind;
    kinds_[has_prompts ? "up to " + std::to_string(most) + " rows, prompts among them"
                       : std::to_string(rows) + " decodes"]
        .push_back(step);
  }

  // Of the steps that are not far longer than most: what is tuned or captured belongs to none.
  void print_kind(std::FILE* out, const std::string& kind, double total) {
    std::vector<Step> steps = kinds_[kind];
    std::sort(steps.begin(), steps.end(),
              [&](const Step& a, const Step& b) { return length(a) < length(b); });
    const double median = length(steps[steps.size() / 2]);
    std::erase_if(steps, [&](const Step& step) { return length(step) > 1.5 * median; });
    std::map<std::string, Share> shares;
    for (const Step& step : steps) share_out(step, shares);
    const auto count = static_cast<double>(steps.size());
    std::fprintf(out, "== %s: %zu steps, %.3f s in all, median %.3f ms\n", kind.c_str(),
                 kinds_[kind].size(), total, median * 1e3);
    std::vector<std::pair<double, std::string>> order;
    for (const auto& [name, share] : shares) order.emplace_back(-share.seconds, name);
    std::sort(order.begin(), order.end());
    for (const auto& [seconds, name] : order) {
      const Share& share = shares[name];
      if (-seconds / count < 0.002 * median) continue;
      std::fprintf(out, "%9.1f us a step %5.1f %% %7.1f calls %8.2f us each  %s\n",
                   -seconds / count * 1e6, -100 * seconds / count / median, share.calls / count,
                   -seconds / share.calls * 1e6, name.c_str());
    }
  }

  void share_out(const Step& step, std::map<std::string, Share>& shares) const {
    for (std::size_t at = std::max<std::size_t>(1, step.begin); at < step.end; ++at) {
      const Run& run = runs_[at];
      const Run& before = runs_[at - 1];
      const std::uint64_t begin = std::max(run.start, before.end);
      Share& idle = shares["(idle)"];
      idle.calls += begin > before.end ? 1 : 0;
      idle.seconds += static_cast<double>(begin - before.end) * 1e-9;
      Share& own = shares[names_[static_cast<std::size_t>(run.name)] + " after " +
                          names_[static_cast<std::size_t>(before.name)]];
      ++own.calls;
      own.seconds += static_cast<double>(run.end - begin) * 1e-9;
    }
  }

  std::mutex mutex_;
  std::vector<Run> runs_;
  std::unordered_map<std::string, int> ids_;  // Of mangled names.
  std::vector<std::string> names_;
  std::map<std::string, std::vector<Step>> kinds_;
};

// Lives until the program has ended.
Trace& trace() {
  static auto* const all = new Trace;
  return *all;
}

void give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* records_max) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, kBufferBytes));
  *size = kBufferBytes;
  *records_max = 0;
}

void take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t valid) {
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL)
      trace().add(*reinterpret_cast<const CUpti_ActivityKernel10*>(record));
  }
  std::free(buffer);
}

void print_at_exit() {
  cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  const char* const path = std::getenv("KERNEL_TIMES");
  std::FILE* const out = path != nullptr ? std::fopen(path, "w") : stderr;
  if (out == nullptr) return;
  trace().print(out);
  std::fflush(out);
}

}  // namespace
}  // namespace spillway::gpu_test

extern "C" int InitializeInjection() {
  using namespace spillway::gpu_test;
  cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
  const CUptiResult enabled = cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  if (enabled != CUPTI_SUCCESS) std::fprintf(stderr, "kernel times: CUPTI says %d\n", enabled);
  return std::atexit(print_at_exit) == 0 && enabled == CUPTI_SUCCESS ? 1 : 0;
}
