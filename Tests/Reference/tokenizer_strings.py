"""The strings that the tokenizers are compared on: written by hand, and made from a seed."""
import random

HAND = [
    "", " ", "  ", "\t", "\n", "\r\n", " \t\n ", "a", " a", "a ", " a ", "  a  b  ", "a\tb", "a\nb", "a\r\nb", "\ta\n",
    "a photo of [ref#1] on a beach", "[ref#1]", "[ref#1] ", " [ref#1]", "  [ref#1]  ", "[ref#1][ref#2]", "[ref#1] [ref#2]",
    "[ref#1]and [ref#2]and", "a[ref#1]b", "a [ref#1], b [ref#2].", "[ref#1]. [ref#9]! ([ref#5])", "[ref#10]", "[ref#0]", "[ref#]",
    "[REF#1]", "[ref #1]", "[ref#1", "ref#1]", "[[ref#1]]", "[res]", "a [res]b", "[ref#1]\n[ref#2]\t[ref#3]", "［ref#1］", "[ｒｅｆ＃１] x",
    "[ref#1]'s jacket", "the woman from [ref#1] wears the jacket from [ref#2]", "\u3000[ref#3]\u3000", "[ref#1]\u200b[ref#2]",
    "[ref#1]\u0301", "e\u0301[ref#2]", "[ref#4]▁", "▁[ref#4]", "▁", "▁▁", "a▁b", "a ▁ b", "_", "a_b",
    "</s>", "a</s>b", "a </s> b", "</s></s>", "<pad>", "a<pad>", "<unk>", "a <unk> b", "<s>", "</s", "< /s>", "</S>",
    "<extra_id_0>", "a <extra_id_0> b", "a<extra_id_1>b", "<extra_id_99>", "<extra_id_100>", "<extra_id_9>9", "<extra_id_00>",
    "  <extra_id_5>  \n x", "<extra_id_1> <extra_id_2>", "[ref#1] <extra_id_0> [ref#2]", "＜/s＞", "x ＜pad＞ ＜unk＞", "＜extra_id_0＞",
    "<|endoftext|>", "a <|endoftext|> b", "a<|endoftext|>b", "<|startoftext|>", "<|startoftext|>a<|endoftext|>", "<|ENDOFTEXT|>",
    "<|EndOfText|> x", "!<|ENDOFTEXT|>", "<|endoftext|", "<|end of text|>", "<| endoftext |>", "<|ſtartoftext|>", "＜|endoftext|＞",
    "don't it's I'm we'll they've you're he'd", "DON'T IT'S I'M WE'LL THEY'VE YOU'RE HE'D", "rock 'n' roll", "'s", "''s", "!'s", "'ſ 'ſ's",
    "dogs' 'tis 'til 'dx 'sx 'rex", "don’t it’s “quoted” ‘single’", "«guillemets» „low“ ‚x‘", "\"double\" 'single' `tick`",
    "x\x00y", "x\x01y\x02", "x\x7fy", "x\x80y\x85z", "x\u00ady", "x\u200by", "x\u200cy\u200dz", "x\u2060y", "x\ufeffy", "\ufeffx", "x\ufffdy",
    "x\u2028y\u2029z", "x\u00a0y", "x\u1680y", "x\u2003y", "x\u202fy", "x\u205fy", "x\u3000y", "x\x0by\x0cz", "x\x1cy\x1dz\x1ey\x1f",
    "x\u061cy", "x\u202ay\u202cz", "x\ue000y", "x\U000f0000y", "x\u0378y", "x\ufff9y\ufffbz", "x\u180ey", "\u0600x", "x\u2800y",
    "漢字", "a漢字b", "日本語のテキスト", "中文，标点。", "한국어 텍스트", "ㄱㄴㄷ", "각", "\u1100\u1161\u11a8", "㐀𠀀𪜀𫝀𫠠豈丽", "ｶﾞｷﾞ", "ガ", "か\u3099",
    "Ｆｕｌｌ　ｗｉｄｔｈ　１２３！", "ﬁre ﬂow oﬃce ﬅ ﬆ", "① ② ⑳ Ⅳ ⅳ ½ ¼ ²³ ₁₂", "㎏ ㎡ ℃ ™ © ® № ℡", "ǅ ǆ Ǆ ĳ Ĳ ŉ ſ ẞ ß",
    "İstanbul ıI iİ İİ", "I\u0307", "ΣΑΣ Σ ΑΣ. ΑΣ'Σ ΑΣ:Α ὈΔΥΣΣΕΎΣ", "ΑΣ\u00adΑ ΑΣ\u0301 aΣ1 1Σ", "ὈΔΥΣΣΕΎΣ ΌΣΟΣ", "Ὰ ᾈ ᾳ ῼ", "Ω K Å", "Ω\u0301",
    "café cafe\u0301 naïve nai\u0308ve", "Zoë's façade", "ạ̊ a\u0323\u030a a\u030a\u0323", "e\u0301\u0302", "e\u0302\u0301", "e\u0302\u0303x", "\u0301", "\u0301x",
    "x\u0301\u0302\u0303\u0304", "q\u0323\u0307", "n\u0303 N\u0303 ñ Ñ", "ệ e\u0323\u0302 e\u0302\u0323", "ѝ и\u0300 й и\u0306", "ا\u0654 أ", "क\u093c क़", "ক\u09be\u09c7",
    "a\u0345b \u0345 !\u0345\u0301 ᾳ\u0345", "a\u0f73\u0f73 \u0f40\u0f75\u0f75\u0f81\u0f81",
    "é\u20dd", "1\ufe0f\u20e3", "ñ\u034f\u0301", "ﷺ", "ﷲ", "ﬀ\u0301", "㍿", "㌀", "ǭ", "ṩ s\u0323\u0307",
    "😀", "a😀b", "😀😀😀", "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪🇫🇷", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "☺", "🫨", "🧑‍🚀 on 🌙", "⌚️⏰", "♀️", "🫠",
    "Привет, мир", "Ελληνικά", "עברית", "العربية", "हिन्दी भाषा", "ไทย", "ქართული ᲥᲐᲠᲗᲣᲚᲘ", "Հայերեն և", "Cherokee Ꭰ ꭰ Ᏸ ᏸ", "𝒜𝓑𝕮𝟘", "𐐀𐐨", "ⱥ Ⱥ Ⴀ ⴀ",
    "123", "1 2 3", "3.14159", "1,000,000", "85mm f/1.8", "4k 8K", "a1b2c3", "٣٤٥", "१२३", "一二三", "Ⅻ", "1024x1024", "50%",
    "a,b", "a , b", "a.b.c", "...", "…", "?!?!", "--", "—–-", "a-b", "a/b\\c", "@user #tag $5 ^x &y *z* (w) {v} ~u |t|", "<tag>", "a=b+c", "a;b:c",
    "http://example.com/a?b=c&d=e#f", "mail@example.com", "C:\\path\\file", "print('hi')", "`code`", "**bold** _it_", "(masterpiece:1.2), [x|y]",
    "A PHOTO OF A CAT", "MixedCase camelCase", "éÉ çÇ øØ æÆ œŒ ðÐ þÞ łŁ", "generate a same style image. a rooster wearing overalls",
    "portrait of a man, studio light, 85mm, shallow depth of field, film grain", "low resolution, blurry, deformed hands, watermark",
    "a " * 40, "photo " * 90, "x" * 300, "ab" * 200, "漢" * 120, "😀" * 60, "[ref#1] " * 70, "[ref#1]" * 70, "a photo, " * 60,
    "supercalifragilisticexpialidocious antidisestablishmentarianism", "zzqqxxjj qxzj", "the quick brown fox jumps over the lazy dog " * 12,
    " ".join(str(i) for i in range(120)), "\n".join(f"line {i}" for i in range(40)), " " * 200, " " * 100 + "a" + " " * 100, "a" + " " * 300 + "b",
]

WORDS = (
    "a an the photo of woman man jacket from wears with in on street rain light film grain umbrella red blue dogs beach sunset "
    "portrait studio perfume bottle spotlight marble style rooster watercolor toy holding sign says dream mountains snow astronaut "
    "horse sunflowers highly detailed 4k blurry glossy café naïve Zürich ÉCOLE don't it's we'll I'm 85mm 1024 3.5 ΣΑΣ ΟΔΟΣ İzmir ﬁne"
).split()
TOKENS = [f"[ref#{i}]" for i in range(0, 11)] + ["[res]", "</s>", "<pad>", "<unk>", "<extra_id_0>", "<extra_id_42>", "<extra_id_99>",
                                                  "<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>"]
JOINS = [" ", " ", " ", " ", "", "  ", "\t", "\n", ", ", ". ", "-", "'", "\u00a0", "\u3000", "\u200b", "▁", "\u0301"]
RANGES = [(0x20, 0x7e), (0x20, 0x7e), (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x3ff), (0x400, 0x4ff), (0x590, 0x6ff), (0x900, 0x97f),
          (0xe00, 0xe7f), (0x1100, 0x11ff), (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x20cf), (0x2100, 0x218f), (0x2460, 0x24ff),
          (0x3000, 0x30ff), (0x3200, 0x33ff), (0x4e00, 0x4eff), (0xac00, 0xacff), (0xf900, 0xfaff), (0xfb00, 0xfb4f), (0xfe20, 0xfe2f),
          (0xff00, 0xffef), (0x1d400, 0x1d4ff), (0x1f300, 0x1f6ff), (0x1f1e6, 0x1f1ff), (0x0, 0x1f), (0x7f, 0x9f)]


def piece(rng):
    kind = rng.random()
    if kind < 0.5:
        word = rng.choice(WORDS)
        return rng.choice([word, word, word.upper(), word.title()])
    if kind < 0.68:
        return rng.choice(TOKENS)
    if kind < 0.8:
        return rng.choice(HAND)[:30]
    low, high = rng.choice(RANGES)
    return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 5)))


def generated(count, seed):
    """Strings of words, tokens and characters of many scripts, joined in many ways."""
    rng = random.Random(seed)
    return ["".join(piece(rng) + rng.choice(JOINS) for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 40]))) for _ in range(count)]
