#include "backends/local/grammar/compiled_bytes_internal.h"

#include <compiled_grammar_impl.h>
#include <grammar_impl.h>
#include <memory>
#include <optional>
#include <xgrammar/xgrammar.h>

namespace spillway::local::grammar {
namespace {

using xgrammar::AdaptiveTokenMask;
using xgrammar::CompactFSM;
using xgrammar::DynamicBitset;
using xgrammar::FSMEdge;
using Edges = xgrammar::Compact2DArray<FSMEdge>;
using RuleFsm = xgrammar::CompactFSMWithStartEndWithSize;

// What xgrammar lists the members of: for its JSON.
template <class T>
concept Listed = !std::is_trivially_copyable_v<T> &&
                 xgrammar::member_trait<T>::value == xgrammar::member_type::kConfig;

class Writer {
 public:
  explicit Writer(Packer& packer) : packer_(packer) {}

  void write(const auto& plain) { packer_.put(plain); }
  template <Listed T>
  void write(const T& whole) {
    xgrammar::visit_config<T>([&](auto member, const char*, std::size_t) { write(whole.*member); });
  }
  template <class T>
    requires(!std::is_trivially_copyable_v<T>)
  void write(const std::vector<T>& values) {
    packer_.put(std::uint64_t{values.size()});
    for (const T& value : values) write(value);
  }
  template <class T>
    requires(!std::is_trivially_copyable_v<T>)
  void write(const std::optional<T>& value) {
    packer_.put(value.has_value());
    if (value) write(*value);
  }
  void write(const CompactFSM& fsm) {
    packer_.put(fsm.IsNull());
    if (fsm.IsNull()) return;
    write(fsm.GetEdges());
    write(fsm.GetEdgeAuxData());
  }
  // All rules share one machine.
  void write(const RuleFsm& rule) {
    packer_.put(rule.GetFsm().GetStart());
    packer_.put(rule.GetFsm().GetEnds());
    packer_.put(rule.GetEdgeNum());
    packer_.put(rule.GetNodeNum());
  }
  void write(const DynamicBitset& bits) {
    std::vector<std::uint32_t> words(
        static_cast<std::size_t>(DynamicBitset::GetBufferSize(bits.Size())));
    DynamicBitset(bits.Size(), words.data()) = bits;
    packer_.put(bits.Size());
    packer_.put(words);
  }

 private:
  Packer& packer_;
};

class Reader {
 public:
  explicit Reader(Unpacker& unpacker) : unpacker_(unpacker) {}

  void read(auto& plain) { unpacker_.get(plain); }
  template <Listed T>
  void read(T& whole) {
    xgrammar::visit_config<T>([&](auto member, const char*, std::size_t) { read(whole.*member); });
  }
  template <class T>
    requires(!std::is_trivially_copyable_v<T>)
  void read(std::vector<T>& values) {
    values.resize(unpacker_.length(1));
    for (T& value : values) read(value);
  }
  template <class T>
    requires(!std::is_trivially_copyable_v<T>)
  void read(std::optional<T>& value) {
    if (unpacker_.get<bool>()) read(value.emplace());
  }
  void read(CompactFSM& fsm) {
    if (unpacker_.get<bool>()) return;
    Edges edges;
    std::vector<std::int32_t> rest;
    read(edges);
    read(rest);
    fsm = CompactFSM(std::move(edges), std::move(rest));
    machine_ = fsm;
  }
  void read(RuleFsm& rule) {
    const auto start = unpacker_.get<int>();
    auto ends = unpacker_.get<std::vector<std::int32_t>>();
    const auto edges = unpacker_.get<int>();
    const auto nodes = unpacker_.get<int>();
    rule =
        RuleFsm(xgrammar::CompactFSMWithStartEnd(machine_, start, std::move(ends)), edges, nodes);
  }
  void read(DynamicBitset& bits) {
    const auto size = unpacker_.get<int>();
    auto words = unpacker_.get<std::vector<std::uint32_t>>();
    if (size < 0 || words.size() != static_cast<std::size_t>(DynamicBitset::GetBufferSize(size)))
      throw std::runtime_error("a set of bits is of another size than it says");
    bits = static_cast<const DynamicBitset&>(DynamicBitset(size, words.data()));
  }

 private:
  Unpacker& unpacker_;
  CompactFSM machine_{xgrammar::NullObj{}};
};

}  // namespace

void pack(const xgrammar::CompiledGrammar& compiled, Packer& packer) {
  Writer writer(packer);
  const auto& masks = compiled.ImplPtr()->adaptive_token_mask_cache;
  writer.write(*compiled.GetGrammar().ImplPtr());
  packer.put(std::uint64_t{masks.size()});
  for (const auto& [state, mask] : masks) {
    packer.put(state);
    writer.write(mask);
  }
}

xgrammar::CompiledGrammar unpack_compiled(Unpacker& unpacker,
                                          const xgrammar::TokenizerInfo& tokens) {
  Reader reader(unpacker);
  const auto grammar = std::make_shared<xgrammar::Grammar::Impl>();
  reader.read(*grammar);
  const auto compiled = std::make_shared<xgrammar::CompiledGrammar::Impl>();
  compiled->grammar = xgrammar::Grammar(grammar);
  compiled->tokenizer_info = tokens;
  const std::uint64_t masks = unpacker.length(sizeof(xgrammar::ParserState));
  compiled->adaptive_token_mask_cache.reserve(masks);
  for (std::uint64_t i = 0; i < masks; ++i) {
    const auto state = unpacker.get<xgrammar::ParserState>();
    reader.read(compiled->adaptive_token_mask_cache[state]);
  }
  return xgrammar::CompiledGrammar(compiled);
}

}  // namespace spillway::local::grammar
