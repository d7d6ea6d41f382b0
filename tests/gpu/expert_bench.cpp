// The kernels of DeepSeek-V2-Lite's layers alone, inside a graph: products of experts by how many
// tokens there are, products of heads, and attention to latent rows. Time, and bytes or operations
// a second; what is counted is what must be moved once.
//
// usage: gpu_expert_bench [TOKENS…]   with TOKENS the products of experts alone, for so many; after
// --fp8, --int8 or --int4 those of weights in so many bits
#include "backends/local/kernels/expert_kernels.h"
#include "backends/local/kernels/latent_kernels.h"
#include "tests/gpu/graph_timer.h"

#include <memory>
#include <string>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

constexpr int kWidth = 2048, kInner = 1408, kRouted = 64, kShared = 2, kChosen = 6;
constexpr int kGroups = kRouted + kShared, kSlots = kChosen + kShared;
constexpr int kHeads = 16, kKey = 128;
constexpr int kLaunches = 8;

void report(const std::string& what, double microseconds, double bytes, double operations) {
  std::printf("%-44s %8.1f us %6.0f GB/s %6.1f TFLOP/s\n", what.c_str(), microseconds,
              bytes / microseconds * 1e-3, operations / microseconds * 1e-6);
}

// Random values of a plausible size: a random block, repeated.
class Noise {
 public:
  explicit Noise(std::size_t elements) : values_(elements) {
    const auto block = random_bf16(std::size_t(1) << 20, 0.05f);
    for (std::size_t at = 0; at < elements; at += block.size()) {
      const std::size_t count = std::min(block.size(), elements - at);
      check(cudaMemcpy(values_.get() + at, block.data(), count * 2, cudaMemcpyHostToDevice),
            "noise");
    }
  }
  Bf16* get() { return values_.get(); }

 private:
  DeviceArray<Bf16> values_;
};

// Each token takes kChosen experts at random, and those that are shared.
struct Choice {
  explicit Choice(int tokens) : lists(std::size_t(kGroups) * tokens) {
    std::vector<std::int32_t> named(lists.count());
    std::vector<std::int32_t> count(kGroups, 0);
    std::vector<int> order(kRouted);
    for (int i = 0; i < kRouted; ++i) order[i] = i;
    for (int t = 0; t < tokens; ++t) {
      std::shuffle(order.begin(), order.end(), generator());
      for (int slot = 0; slot < kSlots; ++slot) {
        const int expert = slot < kChosen ? order[slot] : kRouted + slot - kChosen;
        named[std::size_t(expert) * tokens + count[expert]++] = t * kSlots + slot;
      }
    }
    check(cudaMemcpy(lists.get(), named.data(), lists.bytes(), cudaMemcpyHostToDevice), "lists");
    counts = std::make_unique<DeviceArray<std::int32_t>>(count);
  }
  DeviceArray<std::int32_t> lists;
  std::unique_ptr<DeviceArray<std::int32_t>> counts;
};

GroupedLinear of_experts(Choice& choice, int tokens, int n, int k) {
  GroupedLinear product = {};
  product.groups = kGroups;
  product.n = n;
  product.k = k;
  product.x_share = 1;
  product.x_stride = k;
  product.out_stride = n;
  product.lists = choice.lists.get();
  product.counts = choice.counts->get();
  product.list_stride = product.rows = tokens;
  product.rows_listed = tokens * kSlots;
  product.rows_usual = tokens * kChosen / kRouted;
  return product;
}

// Of a weight; of int4 with its scale.
double bytes_each(int format) {
  return format == kBf16 ? 2.0 : format == kInt4 ? 0.5 + 2.0 / 128 : 1.0;
}

int enqueue(const GroupedLinear& product, CUstream_st* stream) {
  if (product.rows > kSkinnyTokensMax) return spillway_grouped_linear(&product, stream);
  const GroupedSkinny few = {product, nullptr, 0.0f};
  return spillway_grouped_skinny(&few, stream);
}

void bench_experts(GraphTimer& timer, Noise& weights, int tokens, int format) {
  Choice choice(tokens);
  Noise scales(std::size_t(kGroups) * 2 * kInner * kWidth / 64);
  Noise x_scales(std::size_t(tokens) * kSlots * 2);
  Noise x(std::size_t(tokens) * kWidth);
  Noise gated(std::size_t(tokens) * kSlots * kInner);
  DeviceArray<Bf16> out(std::size_t(tokens) * kSlots * kWidth);
  GroupedLinear gate_up = of_experts(choice, tokens, kInner, kWidth);
  gate_up.out = gated.get();
  gate_up.x = x.get();
  gate_up.weight = weights.get();
  gate_up.silu_mul = 1;
  gate_up.x_share = kSlots;
  GroupedLinear down = of_experts(choice, tokens, kWidth, kInner);
  down.out = out.get();
  down.x = gated.get();
  down.weight = weights.get();
  down.after_same_lists = 1;
  for (GroupedLinear* const product : {&gate_up, &down}) {
    product->format = format;
    product->scales = scales.get();
    product->x_scales = reinterpret_cast<const float*>(x_scales.get());
  }
  const double matrix = 2.0 * kGroups * kInner * kWidth;  // Operations of a row.
  // Of few tokens most take experts of their own.
  const double read = std::min(1.0, double(tokens * kChosen + kShared) / kGroups);
  const double bytes = matrix / 2 * bytes_each(format) * read;
  const double rows = double(tokens) * kSlots / kGroups;
  constexpr const char* kNames[] = {"", ", fp8", ", int8", ", int4"};
  const std::string suffix = ", " + std::to_string(tokens) + " tokens" + kNames[format];
  const auto time = [&](const std::string& what, auto enqueue, double parts) {
    report(what + suffix, timer.microseconds(kLaunches, enqueue), parts * bytes,
           parts * matrix * rows);
  };
  const auto first = [&](int) { check(enqueue(gate_up, timer.stream()), "up"); };
  time("gate and up", first, 2);
  GroupedLinear alone = down;
  alone.after_same_lists = 0;
  time("down", [&](int) { check(enqueue(alone, timer.stream()), "down"); }, 1);
  time(
      "both",
      [&](int i) {
        first(i);
        check(enqueue(down, timer.stream()), "down");
      },
      3);
}

void bench_heads(GraphTimer& timer, const char* what, int rows, int n, int k) {
  Noise x(std::size_t(rows) * kHeads * k), weights(std::size_t(kHeads) * n * k);
  DeviceArray<Bf16> out(std::size_t(rows) * kHeads * n);
  GroupedLinear args = {};
  args.out = out.get();
  args.x = x.get();
  args.weight = weights.get();
  args.groups = kHeads;
  args.n = n;
  args.k = k;
  args.x_share = 1;
  args.rows = rows;
  args.x_group = k;
  args.x_stride = std::int64_t{kHeads} * k;
  args.out_group = n;
  args.out_stride = std::int64_t{kHeads} * n;
  const double us = timer.microseconds(
      kLaunches, [&](int) { check(spillway_grouped_linear(&args, timer.stream()), what); });
  report(std::string(what) + ", " + std::to_string(rows) + " rows", us,
         2.0 * kHeads * (double(rows) * (n + k) + double(n) * k), 2.0 * rows * kHeads * n * k);
}

// Decodes at a context, then the rows of a prompt, or both at once.
void bench_attention(GraphTimer& timer, int decodes, int context, int prompt) {
  constexpr int kPage = 16;
  const int pages = (std::max(context, prompt) + kPage) / kPage, sequences = decodes + 1;
  Noise cache(std::size_t(sequences) * pages * kPage * kLatentLine * kLaunches);
  Noise queries(std::size_t(decodes + prompt) * kHeads * kLatentLine);
  DeviceArray<Bf16> out(std::size_t(decodes + prompt) * kHeads * kLatentWidth);
  std::vector<std::int32_t> order(std::size_t(sequences) * pages);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = int(i);
  std::shuffle(order.begin(), order.end(), generator());
  DeviceArray<std::int32_t> table(order), start(std::vector<std::int32_t>{0, prompt});
  DeviceArray<std::int32_t> positions(std::vector<std::int32_t>(decodes, context - 1));
  DeviceArray<std::int32_t> first(std::vector<std::int32_t>{0});
  LatentAttention args = {};
  args.page_stride = pages;
  args.heads = kHeads;
  args.scale = 0.07f;
  const double us = timer.microseconds(kLaunches, [&](int i) {
    args.pages = cache.get() + std::size_t(sequences) * pages * kPage * kLatentLine * i;
    args.page_table = table.get();
    args.out = out.get();
    args.queries = queries.get();
    args.beside_earlier = 0;
    if (prompt > 0) {
      args.row_start = start.get();
      args.first_position = first.get();
      args.chunks = 1;
      args.rows_max = prompt;
      args.splits = 1;
      check(spillway_latent_attention(&args, timer.stream()), "prompt");
      args.beside_earlier = 1;
    }
    if (decodes == 0) return;
    args.out = out.get() + std::size_t(prompt) * kHeads * kLatentWidth;
    args.queries = queries.get() + std::size_t(prompt) * kHeads * kLatentLine;
    args.page_table = table.get() + pages;
    args.row_start = nullptr;
    args.first_position = positions.get();
    args.chunks = decodes;
    args.splits = 1;
    check(spillway_latent_attention(&args, timer.stream()), "decodes");
  });
  const double pairs = double(decodes) * context + 0.5 * prompt * prompt;
  report("attention, " + std::to_string(decodes) + " decodes, prompt of " + std::to_string(prompt),
         us, 2.0 * kLatentLine * decodes * context,
         2.0 * pairs * kHeads * (kLatentLine + kLatentWidth));
}

}  // namespace
}  // namespace spillway::gpu_test

int main(int argc, char** argv) {
  using namespace spillway::gpu_test;
  GraphTimer timer;
  Noise weights(std::size_t(kGroups) * 2 * kInner * kWidth);
  int format = spillway::kernels::kBf16;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with("--")) {
      format = word == "--fp8"    ? spillway::kernels::kE4m3
               : word == "--int8" ? spillway::kernels::kInt8
                                  : spillway::kernels::kInt4;
    } else {
      bench_experts(timer, weights, std::atoi(argv[i]), format);
    }
  }
  if (argc > 1) return 0;
  for (const int tokens : {16, 32, 128, 256, 640, 1280, 1664, 2112, 4096}) {
    bench_experts(timer, weights, tokens, spillway::kernels::kBf16);
  }
  for (const int rows : {128, 640, 2112}) {
    bench_heads(timer, "queries of lines", rows, 512, kKey);
    bench_heads(timer, "values of lines", rows, kKey, 512);
  }
  for (const auto& [decodes, prompt] :
       {std::pair{128, 0}, {256, 0}, {0, 512}, {128, 512}, {256, 1024}}) {
    bench_attention(timer, decodes, 560, prompt);
  }
  return 0;
}
