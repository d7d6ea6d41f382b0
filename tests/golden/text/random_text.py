"""Random strings that are hard on tokenizers: weighted classes of characters, in runs."""
import random

ASCII = "".join(map(chr, range(0x20, 0x7F)))
WORDS = ("the quick brown fox's don't WE'LL I'd they've you're it'S 2024 3.14 1,000,000 foo_bar() "
         "if(x){return;} http://a.b/c?d=e naïve Zürich straße ελληνικά русский हिन्दी العربية "
         "עברית ไทย 中文 日本語 한국어 ½ Ⅷ ² ٣٤٥ 𝟘𝟙 ۱۲ 'ſ 'S").split(" ")
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "☕️", "1️⃣", "❤", "\u200d", "\ufe0f"]
SPACES = [" ", "  ", "    ", "\t", "\n", "\r", "\r\n", "\n\n", " \n", "\u00a0", "\u3000", "\u2028", "\x0b",
          "\x0c", "\x85", "\u180e", "\u200b", "       "]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<|im_", "start|>", "<|im_start",
           "<empty_output>", "|>", "<"]


def between(rng, *ranges):
    low, high = rng.choice(ranges)
    code = rng.randint(low, high)
    return chr(code) if not 0xD800 <= code <= 0xDFFF else "a"


CLASSES = [
    (8, lambda rng: rng.choice(WORDS)),
    (4, lambda rng: rng.choice(ASCII)),
    (4, lambda rng: rng.choice(SPACES)),
    (2, lambda rng: between(rng, (0x4E00, 0x9FFF), (0x3040, 0x30FF), (0xAC00, 0xD7A3), (0x20000, 0x2A6DF))),
    (2, lambda rng: rng.choice(EMOJI)),
    (1, lambda rng: between(rng, (0x1F300, 0x1FAFF))),
    (2, lambda rng: "e" + between(rng, (0x300, 0x36F), (0x591, 0x5BD), (0x93C, 0x94D), (0x1AB0, 0x1AFF))),
    (1, lambda rng: between(rng, (0x5D0, 0x5EA), (0x620, 0x64A), (0x700, 0x74F), (0x200E, 0x200F), (0x202A, 0x202E))),
    (1, lambda rng: between(rng, (0, 0x1F), (0x7F, 0x9F))),
    (2, lambda rng: rng.choice("0123456789") * rng.randint(1, 5)),
    (1, lambda rng: between(rng, (0x660, 0x669), (0x966, 0x96F), (0x2150, 0x218B), (0x1D7CE, 0x1D7FF), (0x11DE0, 0x11DE9))),
    (1, lambda rng: between(rng, (0xE000, 0xF8FF), (0xF0000, 0xFFFFD), (0x378, 0x379), (0x2FE0, 0x2FEF), (0x10FFF0, 0x10FFFF))),
    (2, lambda rng: between(rng, (0x80, 0x10FFFF), (0x80, 0x2FFF), (0x80, 0x7FF))),
    (2, lambda rng: rng.choice(SPECIAL)),
    (1, lambda rng: rng.choice(ASCII) * rng.randint(2, 12)),
]


def random_text(rng: random.Random, parts_max=10):
    weights = [weight for weight, _ in CLASSES]
    makers = rng.choices([make for _, make in CLASSES], weights, k=rng.randint(0, parts_max))
    return "".join(make(rng) + (" " if rng.random() < 0.3 else "") for make in makers)
