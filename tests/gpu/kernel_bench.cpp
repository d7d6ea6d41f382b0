// Every kernel alone, at the sizes that the benched models give it: time, and bytes or operations a
// second. Inputs rotate through more memory than the L2 holds; what is counted is what must be
// moved once.
//
// usage: gpu_kernel_bench [copy] [skinny] [attention] [rows] [sampler]; all of them if none is
// named
#include "backends/local/kernels/attention_kernels.h"
#include "tests/gpu/graph_timer.h"

#include <string>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

constexpr std::size_t kRotation = std::size_t(400)
                                  << 20;  // Bytes of different inputs a launch sequence reads.

void report(const std::string& what, double microseconds, double bytes, double operations) {
  std::printf("%-58s %9.2f us", what.c_str(), microseconds);
  if (bytes > 0) std::printf(" %7.0f GB/s", bytes / microseconds * 1e-3);
  if (operations > 0) std::printf(" %7.1f TFLOP/s", operations / microseconds * 1e-6);
  std::printf("\n");
}

// Random bf16 of a plausible size, cheap to make: a random block, repeated.
DeviceArray<Bf16>& noise(std::size_t elements) {
  static DeviceArray<Bf16>* all = nullptr;
  if (all && all->count() >= elements) return *all;
  delete all;
  const auto block = random_bf16(std::size_t(1) << 20, 0.5f);
  all = new DeviceArray<Bf16>(elements + block.size());
  for (std::size_t at = 0; at < elements; at += block.size()) {
    check(cudaMemcpy(all->get() + at, block.data(), block.size() * 2, cudaMemcpyHostToDevice),
          "noise");
  }
  return *all;
}

void bench_copy(GraphTimer& timer) {
  constexpr std::size_t kBytes = std::size_t(4) << 30;
  DeviceArray<char> from(kBytes), to(kBytes);
  const double us = timer.microseconds(4, [&](int) {
    check(cudaMemcpyAsync(to.get(), from.get(), kBytes, cudaMemcpyDeviceToDevice, timer.stream()),
          "copy");
  });
  report("copy 4 GiB (read + write)", us, 2.0 * kBytes, 0);
}

struct LinearShape {
  const char* name;
  int n;
  int k;
  int epilogue;
  bool norm;
};

struct BenchFormat {
  WeightFormat format;
  const char* name;
  int weights;  // In two bytes.
};

// The same memory read as more or fewer weights.
void bench_skinny(GraphTimer& timer, const LinearShape& shape, int tokens,
                  const BenchFormat& format) {
  const std::size_t rows = std::size_t(shape.n) * (shape.epilogue == kSiluMul ? 2 : 1);
  const std::size_t elements = rows * shape.k / format.weights;  // Of two bytes.
  const int copies = static_cast<int>(std::max<std::size_t>(1, kRotation / (elements * 2)));
  auto& weight = noise(elements * copies);
  DeviceArray<Bf16> x(random_bf16(std::size_t(tokens) * shape.k));
  DeviceArray<Bf16> norm(random_bf16(shape.k, 0.1f, 1.0f));
  const int units = (shape.k + 127) / 128;
  const std::size_t groups =
      is_int4(format.format) ? units * (128 / group_columns(format.format)) : 1;
  DeviceArray<float> out(std::size_t(tokens) * shape.n);
  DeviceArray<float> scales(std::vector<float>(rows * groups, 1e-3f));
  check(cudaMemset(out.get(), 0, out.bytes()), "clear");
  const double us = timer.microseconds(std::max(copies, 8), [&](int i) {
    const SkinnyLinear args = {out.get(),
                               x.get(),
                               weight.get() + elements * (i % copies),
                               shape.norm ? norm.get() : nullptr,
                               tokens,
                               shape.n,
                               shape.k,
                               1e-6f,
                               shape.epilogue,
                               format.format == kBf16 ? nullptr : scales.get(),
                               0,
                               format.format};
    check(spillway_skinny_linear(&args, timer.stream()), shape.name);
  });
  report(std::string(format.name) + "skinny " + shape.name + " M=" + std::to_string(tokens), us,
         elements * 2.0, 0);
}

void bench_all_skinny(GraphTimer& timer) {
  const LinearShape shapes[] = {
      {"7b qkv 4608x3584 norm", 4608, 3584, kStoreBf16, true},
      {"7b o 3584x3584 add", 3584, 3584, kAddBf16, false},
      {"7b gate_up 37888x3584 norm silu", 18944, 3584, kSiluMul, true},
      {"7b down 3584x18944 add", 3584, 18944, kAddBf16, false},
      {"7b head 152064x3584 norm float", 152064, 3584, kStoreFloat, true},
      {"0.6b qkv 4096x1024 norm", 4096, 1024, kStoreBf16, true},
      {"0.6b o 1024x2048 add", 1024, 2048, kAddBf16, false},
      {"0.6b gate_up 6144x1024 norm silu", 3072, 1024, kSiluMul, true},
      {"0.6b down 1024x3072 add", 1024, 3072, kAddBf16, false},
      {"fixed cost 1024x256", 1024, 256, kStoreBf16, false},
      {"fixed cost 1024x256 norm", 1024, 256, kStoreBf16, true},
      {"0.6b head 151936x1024 norm float", 151936, 1024, kStoreFloat, true},
  };
  for (const auto& shape : shapes) {
    for (const int tokens : {1, 2, 4, 8}) bench_skinny(timer, shape, tokens, {kBf16, "", 1});
    for (const int tokens : {1, 8}) {
      bench_skinny(timer, shape, tokens, {kE4m3, "fp8 ", 2});
      bench_skinny(timer, shape, tokens, {kInt8, "int8 ", 2});
      bench_skinny(timer, shape, tokens, {kInt4, "int4 ", 4});
      bench_skinny(timer, shape, tokens, {kInt4Zeros, "int4 with zeros ", 4});
      bench_skinny(timer, shape, tokens, {kInt4Zeros32, "int4 by 32 ", 4});
    }
  }
}

struct AttentionBench {
  const char* name;
  int q_heads;
  int kv_heads;
};

const AttentionBench kModels[] = {{"7b 28/4x128", 28, 4}, {"0.6b 16/8x128", 16, 8}};

std::vector<std::int32_t> page_table(int sequences, int pages, int first) {
  std::vector<std::int32_t> table(std::size_t(sequences) * pages);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = first + static_cast<std::int32_t>(i);
  std::shuffle(table.begin(), table.end(), generator());
  return table;
}

void bench_decode(GraphTimer& timer, const AttentionBench& model, int rows, int context,
                  int splits) {
  const int pages = (context + kPageTokens - 1) / kPageTokens;
  const double kv_bytes = 2.0 * 2 * rows * context * model.kv_heads * 128;
  const int layers = std::clamp(static_cast<int>(kRotation / kv_bytes), 1, 28);
  const std::size_t layer = std::size_t(rows) * pages * kPageTokens * model.kv_heads * 128;
  auto& cache = noise(layer * layers * 2);
  DeviceArray<Bf16> q(random_bf16(std::size_t(rows) * model.q_heads * 128)), out(q.count());
  DeviceArray<std::int32_t> table(page_table(rows, pages, 0));
  DeviceArray<std::int32_t> positions(std::vector<std::int32_t>(rows, context - 1));
  const double us = timer.microseconds(std::max(layers, 8), [&](int i) {
    Bf16* keys = cache.get() + layer * 2 * (i % layers);
    const DecodeAttention args = {out.get(),
                                  q.get(),
                                  model.q_heads * 128,
                                  keys,
                                  keys + layer,
                                  table.get(),
                                  positions.get(),
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  pages,
                                  rows,
                                  model.q_heads,
                                  model.kv_heads,
                                  128,
                                  splits,
                                  0.088f,
                                  1e-6f,
                                  0};
    check(spillway_decode_attention(&args, timer.stream()), "decode attention");
  });
  report(std::string("decode ") + model.name + " B=" + std::to_string(rows) +
             " ctx=" + std::to_string(context) + " splits=" + std::to_string(splits),
         us, kv_bytes, 0);
}

void bench_prefill(GraphTimer& timer, const AttentionBench& model, int chunks, int rows) {
  const int pages = rows / kPageTokens;
  const std::size_t layer = std::size_t(chunks) * pages * kPageTokens * model.kv_heads * 128;
  auto& cache = noise(layer * 2);
  DeviceArray<Bf16> q(random_bf16(std::size_t(chunks) * rows * model.q_heads * 128)),
      out(q.count());
  DeviceArray<std::int32_t> table(page_table(chunks, pages, 0));
  std::vector<std::int32_t> starts;
  for (int c = 0; c <= chunks; ++c) starts.push_back(c * rows);
  DeviceArray<std::int32_t> start(starts), first(std::vector<std::int32_t>(chunks, 0));
  const double us = timer.microseconds(4, [&](int) {
    const PrefillAttention args = {
        out.get(),   q.get(), model.q_heads * 128, cache.get(),    cache.get() + layer,
        table.get(), nullptr, start.get(),         first.get(),    pages,
        chunks,      rows,    model.q_heads,       model.kv_heads, 128,
        0.088f};
    check(spillway_prefill_attention(&args, timer.stream()), "prefill attention");
  });
  const double operations = 4.0 * chunks * model.q_heads * 128 * (double(rows) * (rows + 1) / 2);
  report(std::string("prefill ") + model.name + " " + std::to_string(chunks) + " x " +
             std::to_string(rows),
         us, 0, operations);
}

void bench_attention(GraphTimer& timer) {
  for (const auto& model : kModels) {
    for (const int splits : {4, 8, 16}) bench_decode(timer, model, 1, 576, splits);
    for (const int splits : {2, 4, 8}) bench_decode(timer, model, 32, 576, splits);
    for (const int splits : {1, 2}) bench_decode(timer, model, 128, 576, splits);
    bench_decode(timer, model, 1, 8192, 16);
    bench_decode(timer, model, 128, 2048, 1);
    for (const auto& [chunks, rows] : {std::pair{1, 512}, {8, 512}, {1, 4096}})
      bench_prefill(timer, model, chunks, rows);
  }
}

void bench_rows(GraphTimer& timer, int rows) {
  constexpr int kHidden = 3584;
  constexpr int kFfn = 18944;
  const std::string suffix = " T=" + std::to_string(rows);
  auto& source = noise(std::size_t(rows) * kFfn * 2);
  DeviceArray<Bf16> out(std::size_t(rows) * kFfn);
  const RmsNorm norm = {out.get(), source.get(), nullptr, source.get(),
                        nullptr,   rows,         kHidden, 1e-6f};
  double us =
      timer.microseconds(20, [&](int) { check(spillway_rms_norm(&norm, timer.stream()), "norm"); });
  report("rms_norm 3584" + suffix, us, 4.0 * rows * kHidden, 0);
  const GateRows silu = {out.get(), source.get(), rows, kFfn, kSilu};
  us = timer.microseconds(20,
                          [&](int) { check(spillway_gate_rows(&silu, timer.stream()), "silu"); });
  report("silu_mul 18944" + suffix, us, 6.0 * rows * kFfn, 0);

  const int pages = (rows + kPageTokens - 1) / kPageTokens;
  DeviceArray<Bf16> qkv(std::size_t(rows) * 36 * 128),
      cache(std::size_t(pages) * kPageTokens * 8 * 128);
  check(cudaMemset(qkv.get(), 0x3c, qkv.bytes()), "qkv");
  std::vector<std::int32_t> positions(rows);
  for (int r = 0; r < rows; ++r) positions[r] = r;
  DeviceArray<float> angles(std::vector<float>(std::size_t(rows) * 128, 0.7f));
  DeviceArray<std::int32_t> d_positions(positions), one(std::vector<std::int32_t>(rows, 0));
  DeviceArray<std::int32_t> table(page_table(1, pages, 0));
  const RopeAppend rope = {qkv.get(),
                           source.get(),
                           nullptr,
                           nullptr,
                           angles.get(),
                           d_positions.get(),
                           one.get(),
                           table.get(),
                           cache.get(),
                           cache.get() + cache.count() / 2,
                           rows,
                           pages,
                           28,
                           4,
                           128,
                           128,
                           0,
                           1e-6f};
  us = timer.microseconds(20,
                          [&](int) { check(spillway_rope_append(&rope, timer.stream()), "rope"); });
  report("rope_append 28/4x128" + suffix, us, rows * 128.0 * 2 * (36 + 28 + 8), 0);
}

void bench_sampler(GraphTimer& timer, int rows) {
  constexpr int kVocabulary = 152064;
  std::normal_distribution<float> normal(0.0f, 2.5f);
  std::vector<float> row(kVocabulary);
  for (float& value : row) value = normal(generator());
  std::vector<float> logits;
  for (int r = 0; r < rows; ++r) logits.insert(logits.end(), row.begin(), row.end());
  DeviceArray<float> d_logits(logits), temperature(std::vector<float>(rows, 0.8f)), logprob(rows);
  DeviceArray<std::uint64_t> seed(std::vector<std::uint64_t>(rows, 42));
  DeviceArray<std::int32_t> token(rows), counter(std::vector<std::int32_t>(rows, 7));
  struct Way {
    const char* name;
    bool greedy;
    int top_k;
    float top_p;
  };
  for (const Way& way : {Way{"greedy", true, 0, 1.0f},
                         {"temperature", false, 0, 1.0f},
                         {"top_k 40", false, 40, 1.0f},
                         {"top_p 0.9", false, 0, 0.9f},
                         {"top_k 40, top_p 0.9", false, 40, 0.9f}}) {
    DeviceArray<std::int32_t> top_k(std::vector<std::int32_t>(rows, way.top_k));
    DeviceArray<float> top_p(std::vector<float>(rows, way.top_p));
    const Sample args = {
        token.get(), logprob.get(), d_logits.get(), way.greedy ? nullptr : temperature.get(),
        top_k.get(), top_p.get(),   seed.get(),     counter.get(),
        nullptr,     nullptr,       rows,           kVocabulary};
    const double us = timer.microseconds(
        5, [&](int) { check(spillway_sample(&args, timer.stream()), "sample"); });
    report(std::string("sample ") + way.name + " rows=" + std::to_string(rows), us,
           4.0 * rows * kVocabulary, 0);
  }
}

}  // namespace
}  // namespace spillway::gpu_test

int main(int argc, char** argv) {
  using namespace spillway::gpu_test;
  const auto wanted = [&](const std::string& group) {
    for (int i = 1; i < argc; ++i) {
      if (group == argv[i]) return true;
    }
    return argc == 1;
  };
  GraphTimer timer;
  if (wanted("copy")) bench_copy(timer);
  if (wanted("skinny")) bench_all_skinny(timer);
  if (wanted("attention")) bench_attention(timer);
  for (const int rows : {1, 128, 4096}) {
    if (wanted("rows")) bench_rows(timer, rows);
  }
  for (const int rows : {1, 128}) {
    if (wanted("sampler")) bench_sampler(timer, rows);
  }
  return 0;
}
