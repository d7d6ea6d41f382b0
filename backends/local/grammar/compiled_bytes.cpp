#include "backends/local/grammar/compiled_bytes_internal.h"
#include "backends/process/codec.h"

#include <compiled_grammar_impl.h>
#include <grammar_impl.h>
#include <memory>
#include <utility>
#include <xgrammar/xgrammar.h>

namespace spillway::local::grammar {
namespace {

using process::A;
using xgrammar::CompactFSM;
using xgrammar::DynamicBitset;
using Edges = xgrammar::Compact2DArray<xgrammar::FSMEdge>;
using RuleFsm = xgrammar::CompactFSMWithStartEndWithSize;

struct Layout {
  static constexpr Errc last_of(Errc) { return Errc::internal; }

  template <class T>
    requires(std::is_trivially_copyable_v<T>)
  static void copies(const T&);

  static void list(auto& fields, A<Error> auto& it) { fields(it.code, it.message, it.param); }

  // What xgrammar lists the members of: for its JSON.
  template <class T>
    requires(xgrammar::member_trait<std::remove_const_t<T>>::value ==
             xgrammar::member_type::kConfig)
  static void list(auto& fields, T& it) {
    xgrammar::visit_config<std::remove_const_t<T>>(
        [&](auto member, const char*, std::size_t) { fields(it.*member); });
  }

  static void list(auto& fields, const CompactFSM& fsm) {
    fields(fsm.IsNull());
    if (!fsm.IsNull()) fields(fsm.GetEdges(), fsm.GetEdgeAuxData());
  }
  void list(auto& fields, CompactFSM& fsm) {
    if (fields.template next<bool>()) return;
    Edges edges;
    std::vector<std::int32_t> rest;
    fields(edges, rest);
    fsm = CompactFSM(std::move(edges), std::move(rest));
    machine = fsm;
  }

  static void list(auto& fields, const RuleFsm& rule) {
    fields(rule.GetFsm().GetStart(), rule.GetFsm().GetEnds(), rule.GetEdgeNum(), rule.GetNodeNum());
  }
  void list(auto& fields, RuleFsm& rule) {
    int start = 0, edges = 0, nodes = 0;
    std::vector<std::int32_t> ends;
    fields(start, ends, edges, nodes);
    rule = RuleFsm(xgrammar::CompactFSMWithStartEnd(machine, start, std::move(ends)), edges, nodes);
  }

  static void list(auto& fields, const DynamicBitset& bits) {
    std::vector<std::uint32_t> words(
        static_cast<std::size_t>(DynamicBitset::GetBufferSize(bits.Size())));
    DynamicBitset(bits.Size(), words.data()) = bits;
    fields(bits.Size(), words);
  }
  static void list(auto& fields, DynamicBitset& bits) {
    int size = 0;
    std::vector<std::uint32_t> words;
    fields(size, words);
    if (size < 0 || words.size() != static_cast<std::size_t>(DynamicBitset::GetBufferSize(size)))
      throw std::runtime_error("a set of bits is of another size than it says");
    bits = static_cast<const DynamicBitset&>(DynamicBitset(size, words.data()));
  }

  CompactFSM machine{xgrammar::NullObj{}};  // All rules share one.
};

}  // namespace

std::string packed(const Result<Made>& made) {
  std::string bytes;
  process::Writer<Layout> fields(bytes);
  fields(made.has_value());
  if (!made) {
    fields(made.error());
    return bytes;
  }
  const auto& masks = made->grammar.ImplPtr()->adaptive_token_mask_cache;
  fields(made->is_json, *made->grammar.GetGrammar().ImplPtr(), masks.size());
  for (const auto& [state, mask] : masks) fields(state, mask);
  return bytes;
}

Result<Made> unpacked_made(std::string_view bytes, const xgrammar::TokenizerInfo& tokens) {
  process::Reader<Layout> fields(bytes);
  if (!fields.next<bool>()) return fields.next<Error>();
  const auto grammar = std::make_shared<xgrammar::Grammar::Impl>();
  const auto compiled = std::make_shared<xgrammar::CompiledGrammar::Impl>();
  const bool is_json = fields.next<bool>();
  fields(*grammar);
  compiled->grammar = xgrammar::Grammar(grammar);
  compiled->tokenizer_info = tokens;
  for (auto masks = fields.next<std::size_t>(); masks > 0; --masks) {
    const auto state = fields.next<xgrammar::ParserState>();
    fields(compiled->adaptive_token_mask_cache[state]);
  }
  fields.end();
  return Made{xgrammar::CompiledGrammar(compiled), is_json};
}

}  // namespace spillway::local::grammar
