"""Writes tokens.json: texts, what cleaning makes of them, and their ids, by open_clip's tokenizer.

    pip install open_clip_torch ftfy regex
    python tokens.py > tokens.json

open_clip spells the special tokens otherwise than OpenAI, which matters only for texts that hold them; they are
renamed here. A text whose ids depend on ftfy's fix_encoding (the repair of mojibake, which the Go tokenizer leaves
out) is listed under "deviations", with the ids that it has with and without that step; all others are under "texts".
"""

import html
import importlib.metadata
import json
import platform
import sys

import ftfy
import regex
from open_clip.tokenizer import SimpleTokenizer, whitespace_clean

START, END = "<|startoftext|>", "<|endoftext|>"


def openai_tokenizer():
    t = SimpleTokenizer()
    for new, old in ((START, "<start_of_text>"), (END, "<end_of_text>")):
        t.encoder[new] = t.encoder.pop(old)
        t.cache[new] = new
        del t.cache[old]
    t.pat = regex.compile(
        r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""",
        regex.IGNORECASE,
    )
    return t


TEMPLATES = {
    "a photo of a {}, a type of pet.": ["abyssinian", "american_bulldog", "Egyptian Mau", "shiba_inu",
        "wheaten terrier"],
    "a photo of a {}, a type of flower.": [
        "pink primrose", "hard-leaved pocket orchid", "bird of paradise", "colt's foot", "love in the mist",
        "black-eyed susan",
        "bishop of llandaff", "globe-flower", "tree mallow", "trumpet creeper", "blackberry lily"],
    "a photo of a {}, a type of aircraft.": [
        "707-320", "A340-600", "ATR-72", "An-12", "BAE 146-200", "Boeing 717", "C-130", "CRJ-200", "Cessna 172",
        "DC-9-30", "DH-82",
        "DHC-8-300", "ERJ 145", "Eurofighter Typhoon", "F/A-18", "Falcon 2000", "Global Express", "Hawk T1", "Il-76",
        "MD-11",
        "McDonnell Douglas DC-9-30", "Metroliner", "SR-20", "Tu-154", "Yak-42"],
    "{} texture.": ["banded", "blotchy", "cobwebbed", "crosshatched", "honeycombed", "lacelike", "meshed",
        "polka-dotted", "zigzagged"],
    "a centered satellite photo of {}.": [
        "Annual Crop Land", "Forest", "Herbaceous Vegetation Land", "Highway or Road", "Industrial Buildings",
        "Pasture Land",
        "Permanent Crop Land", "Residential Buildings", "River", "Sea or Lake"],
    "a photo of a {}.": [
        "2012 Audi S4 Sedan, a type of car", "2012 AM General Hummer SUV", "2007 BMW 6 Series Convertible",
        "2012 Ferrari 458 Italia Coupe",
        "2008 Dodge Ram Pickup 3500 Crew Cab", "1993 Geo Metro Convertible", "2012 FIAT 500 Abarth",
        "2012 MINI Cooper Roadster Convertible",
        "2012 Rolls-Royce Phantom Sedan", "2012 smart fortwo Convertible", "airport_terminal", "cathedral outdoor",
        "abbey",
        "indoor ice_skating rink", "airplane", "face", "leopard", "motorbike", "car_side", "cougar_face", "dollar_bill",
        "gerenuk", "inline_skate", "joshua_tree", "snoopy", "windsor_chair", "wrench", "yin_yang", "accordion",
        "kite (bird of prey)", "yellow lady's slipper", "tench", "great white shark", "messenger bag", "T-shirt",
        "Band-Aid",
        "jack-o'-lantern", "carpenter's plane", "potter's wheel", "t\u00eate-\u00e0-t\u00eate", "Shih Tzu",
        "Staffordshire Bull Terrier",
        "Cardigan Welsh Corgi", "trilobite", "rooster", "toilet paper", "dog"],
    "a photo of {}, a type of food.": [
        "apple_pie", "baby back ribs", "beef_tartare", "cr\u00e8me br\u00fbl\u00e9e", "creme_brulee",
        "chicken quesadilla", "croque_madame",
        "eggs benedict", "foie_gras", "french onion soup", "huevos rancheros", "jalape\u00f1o", "macaroni and cheese",
        "miso_soup",
        "pad_thai", "pho", "spaghetti bolognese", "takoyaki", "tiramisu", "ph\u1edf"],
    "a photo of a person doing {}.": [
        "Apply Eye Makeup", "Balance_Beam", "Clean And Jerk", "Handstand Pushups", "Jump_Rope", "Nunchucks",
        "Playing Sitar",
        "Pommel Horse", "Soccer Juggling", "Tai Chi", "Trampoline Jumping", "Yo Yo"],
    "itap of a {}.": ["yellow lady's slipper", "zebra"],
    "X X X X {}.": ["dog"],
    "a bad photo of the {}.": ["hammerhead shark"],
    "a {} in a video game.": ["rock python"],
    "art of the {}.": ["umbrella"],
    "a photo of the small {}.": ["stop sign"],
    "a origami {}.": ["crane bird"],
}

CONTRACTIONS = [
    "it's 100% don't", "don't", "DON'T", "dont'", "they're we've I'm you'll he'd she's", "y'all'd've", "'s", "''s",
    "'S", "'Tis the season",
    "rock 'n' roll", "\"'s\"", "dog's's", "'ll'll", "o'clock", "it' s", "'sing 'term 'done", "'\u017f 'st", "\u2019s",
    "it\u2019s", "it`s",
    "it\u02bcs", "the dogs' bowls", "'re'm", "'r 'v 'l",
]

NUMBERS = [
    "0", "1234567890", "3.14159", "1,000,000", "12th", "1st 2nd 3rd", "50mm f/1.8", "2x4", "-1", "+49 (0)30 123456",
    "\u00bd cup", "x\u00b2",
    "\u2460\u2461", "\u2160\u2161 \u216b", "\u0661\u0662\u0663", "\u0967\u0968", "\u4e00\u4e8c\u4e09",
    "\U0001d7d8\U0001d7d9", "10\u00b0C", "1\u20442", "\u2155", "5\u20ac",
    "H\u2082O", "a1b2c3", "100%", "$9.99", "#1", "1e-5", "0x1F", "2024-01-31T23:59:59Z",
]

ENTITIES = [
    "&amp;", "&amp;amp;", "&amp;amp;amp;amp;", "Tom &amp; Jerry", "fish & chips", "AT&T", "R&B", "&lt;b&gt;",
    "<b>&amp;</b>", "<p>caf&eacute;</p>",
    "&eacute;", "&EACUTE;", "&Eacute;", "&eAcute;", "&SZLIG;", "BUNDESSTRA&SZLIG;E", "&NTILDE; &nTILDE;", "&fflig;",
    "&FFLIG;", "&NAPOS;", "&napos;",
    "&SIGMAF;", "&frac12;", "&FRAC12;", "&nbsp;", "a&nbsp;b", "&NBSP;", "&copy", "&copy2024", "&notit;", "&notin;",
    "&not", "&timesx", "&times3;", "&gt",
    "&GT;", "&semi;", "&SEMI;", "&#59;", "&#x3b;", "&#65;", "&#65", "&#65a;", "&#x41;", "&#X41", "&#x;", "&#;", "&#",
    "&", "&;", "&&amp;", "&#0;", "&#128;", "&#x92;",
    "&#x81;", "&#11;", "&#12;", "&#13;", "&#127;", "&#xFDD0;", "&#x1FFFF;", "&#xD800;", "&#x110000;",
    "&#99999999999999999999;", "&#x1F600;",
    "&#xFFFE;", "&nGt;", "&nLt;&ngt;", "&nGt", "&NotEqualTilde;", "&CounterClockwiseContourIntegral;", "&acE;", "&bne;",
    "&fjlig;", "&quot;quoted&quot;",
    "&apos;s", "&ldquo;x&rdquo;", "<&ldquo;x&rdquo;", "&lt;&ldquo;", "a\n<\n&amp;lt;", "&amp;lt;\n<",
    "&Tab;a&NewLine;b", "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;",
    "&ampamp;", "&amp;#65;", "&\uff41mp;", "\uff06amp;", "\uff06eacute;", "&thinsp;a", "&zwj;", "&shy;", "&lrm;a",
    "&hellip;", "&trade;", "&#8482;", "&Jscr;ohn", "&#8232;a",
    "&lt;|endoftext|&gt;", "<&lt;|endoftext|&gt;", "&le", "&lt=", "&a", "&amp", "&AMP", "&Amp;", "&COPY;", "&COPY",
    "&Omega;&OMEGA;", "&AElig;&AELIG;&aelig;",
]

SPACES = [
    "", " ", "\t\n", "  a  photo   of ", "a\tb\nc\rd\r\ne", "a\u00a0b", "a\u2003b\u2009c", "a\u3000b",
    "a\u1680b\u202fc\u205fd", "a\u2028b\u2029c", "a\u0085b", "a\u000bb", "a\fb",
    "a\u001cb\u001db\u001eb\u001fb", "\u001ca\u001f", "a\u200bb", "a\u2060b", "a\ufeffb", "\ufeffa", "a\u180eb",
    "a\u00adb", "a\u200db", "\u200ea\u200f", "a\u202eb\u202c", "line one\n\nline two",
]

CONTROLS = [
    "\x1b[31mred\x1b[0m dog", "\x1b[1;36;44mblue\x1b[m", "\x1b[\u0661mx", "\x1b[", "\x1b[3", "\x1bA", "a\x00b",
    "a\x07b", "a\x7fb", "a\u0080b", "a\u0092s b", "a\u0081b",
    "a\u206ab", "a\ufff9b\ufffbc", "a\ufffcb", "\ufffd", "a\ufffdb", "\ue000", "\U000f0000", "\U0010fffe",
    "\x1b\x1b[0m[0m", "\u0001\u001b[0m",
]

CASES = [
    "ISTANBUL \u0130stanbul", "\u0130", "\u0131", "\u039f\u0394\u039f\u03a3",
    "\u039f\u0394\u039f\u03a3 \u039f\u0394\u039f\u03a3", "\u03a3", "A\u03a3", "\u03a3A", "A\u03a3B", "A\u03a3.",
    "A\u03a3.B", "A'\u03a3", "A\u03a3'B", "1\u03a3", "A1\u03a3",
    "A\u0301\u03a3", "\u039f\u03a3\u00ad\u039f", "\u02b0\u03a3", "\u03a3\u03a3\u03a3", "\u03a3 \u03a3",
    "\u1e9e STRASSE Stra\u00dfe", "\u00c0\u00c9\u00ce\u00d5\u00dc", "\u212a \u2126 \u212b", "\u01c4 \u01c5 \u01c6",
    "\u10a0\u1c90\u13a0\uab70", "\u2c00\u24b6", "\U00010400\U0001e900", "\u1f88 \u1fbc",
    "\u0345", "a\u0345b", "!\u0345!", "\u0391\u0345", "\u017f", "\ufb05", "UPPER lower MiXeD", "\u2168", "\ua64a\ua640",
]

PUNCTUATION = [
    "!", "!!!", "...", "\u2026", "a, b; c: d.", "(a) [b] {c} <d>", "---", "a-b", "a\u2013b \u2014 c",
    "\u201cquoted\u201d \u2018single\u2019 \u201elow\u201c \u201aone\u2018", "\u00ababc\u00bb", "a/b\\c|d",
    "@user #tag", "http://example.com/a?b=c&d=e",
    "a_b", "~`^", "\u00a9\u00ae\u2122", "\u00a3\u00a5\u20ac\u20b9", "\u2192\u2190", "\u00b1\u00d7\u00f7\u2260",
    "\u2032\u2033", "\u00b7", "\u3001\u3002", "\u00bf\u00a1", "?!", "*bold* _it_", "snake_case_name", "e.g.", "C++ C#",
    "a.b.c", "n/a", "w/",
]

LETTERS = [
    "caf\u00e9", "cafe\u0301", "e\u0301", "na\u00efve", "r\u00e9sum\u00e9", "\u00fcber", "gar\u00e7on",
    "sm\u00f8rrebr\u00f8d", "\u0141\u00f3d\u017a", "\u010desk\u00fd", "\u0130zmir",
    "\u042d\u0442\u043e \u0441\u043e\u0431\u0430\u043a\u0430", "\u0644\u0642\u0637\u0629 \u0643\u0644\u0628",
    "\u05db\u05dc\u05d1", "\u0e2a\u0e38\u0e19\u0e31\u0e02",
    "\u0915\u0941\u0924\u094d\u0924\u093e", "\u65e5\u672c\u8a9e", "\u4e2d\u6587\u7167\u7247",
    "\ud55c\uad6d\uc5b4 \uac1c", "\u1112\u1161\u11ab", "\u30ab\u30e1\u30e9", "\uff76\uff92\uff97", "\uff76\uff9e",
    "\uff35\uff80\uff70\uff9d", "\uff2c\uff2f\uff35\uff24\u3000\uff2e\uff2f\uff29\uff33\uff25\uff33",
    "\uff01\uff1f\uff0c", "\uffe3\uffe5", "\uffa0", "\uffe8\uffee", "\ufb01ne",
    "of\ufb01ce \ufb02uf\ufb00y \ufb03 \ufb04 \ufb06",
    "\u0132sland \u0133s", "\u0149", "\u01f1 \u01f2 \u01f3", "\u00e6on \u0153uvre", "q\u0323\u0307", "q\u0307\u0323",
    "\u1e9b\u0323", "\u0928\u093c", "\u0958", "\u0f73", "\u2f00", "\uf900", "\u212b", "x\u0338",
    "a\u0300\u0301\u0302\u0303", "\u093f", "\u0301", "\U0001d41a\U0001d7ce", "\U00020000", "\u00aa\u00ba", "\u02b0",
    "\u1d2c",
    "\u0e01\u0e33", "\u0bae\u0bc0\u0ba9\u0bcd", "\u1019\u103c\u1014\u103a\u1019\u102c",
    "\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8", "\u0540\u0561\u0575\u0565\u0580\u0565\u0576", "\u13a0\u13b3\u13a9",
    "Ti\u1ebfng Vi\u1ec7t", "\u0111\u01a1n", "\u00d0\u00fe",
]

EMOJI = [
    "\U0001f600", "\U0001f436 dog", "\u2764\ufe0f", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\u2603", "a\U0001f600b",
    "\U0001f600\U0001f600\U0001f600", ":-)", "\u00af\\_(\u30c4)_/\u00af",
]

LONG = [
    "a" * 200, "ab" * 150, "abc" * 100, "antidisestablishmentarianism", "pneumonoultramicroscopicsilicovolcanoconiosis",
    "donaudampfschifffahrtsgesellschaft",
    "x" * 33, "aaaa", "aaaaa", "the" * 40, "!" * 100, "?!" * 50, "1" * 60, "\u00e9" * 50, "\u65e5" * 60, "o" + "n" * 70,
    "hahahahahahahahaha", "zzzzzzzzzz",
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua",
    " ".join(["a photo of a dog"] * 30), "".join(chr(c) for c in range(0x21, 0x7F)),
    " ".join(chr(c) for c in range(0xA1, 0x100)),
    " ".join(chr(c) for c in range(0x100, 0x180)),
]

SPECIAL = [
    "<|startoftext|>", "<|endoftext|>", "<|STARTOFTEXT|> a dog <|EndOfText|>", "a<|endoftext|>b", "!<|endoftext|>",
    "<|endoftext|>!", "<|endoftext|><|endoftext|>", "<|endoftext|", "<|endoftext |>",
    "<start_of_text> x <end_of_text>", "<|\u017ftartoftext|>", "</w>", "a</w>b", "<|startoftext|>1",
    "\uff1c\uff5cendoftext\uff5c\uff1e", "[SEP] [CLS] <unk> <s>",
]

MOJIBAKE = [
    "caf\u00c3\u00a9", "l\u00e2\u20ac\u2122humanit\u00c3\u00a9", "\u00e2\u0153\u201d No problems",
    "voil\u00c3 le travail", "\u00e2\u20ac\u0153quoted\u00e2\u20ac\u009d", "\u00f0\u0178\u2018\u008d",
    "Stra\u00c3\u0178e", "\u00c3\u00bcber alles", "\u043f\u0440\u0438\u0432\u0435\u0442",
    "\u0420\u0457\u0421\u0402\u0420\u0451\u0420\u0406\u0420\u00b5\u0421\u201a",
]


def main():
    t = openai_tokenizer()
    texts = [template.format(name.replace("_", " ")) for template, names in TEMPLATES.items() for name in names]
    texts += CONTRACTIONS + NUMBERS + ENTITIES + SPACES + CONTROLS + CASES + PUNCTUATION + LETTERS + EMOJI + LONG + SPECIAL + MOJIBAKE

    def clean(text, fix_encoding):
        fixed = ftfy.fix_text(text, fix_encoding=fix_encoding)
        return whitespace_clean(html.unescape(html.unescape(fixed)).strip()).lower()

    same, deviations = [], []
    for text in dict.fromkeys(texts):
        reference = t.encode(text)
        t.clean_fn = lambda s: clean(s, True)
        assert reference == t.encode(text), text
        t.clean_fn = lambda s: clean(s, False)
        ids = t.encode(text)
        t.clean_fn = lambda s: clean(s, True)
        record = {"text": text, "clean": clean(text, False), "ids": ids}
        if ids == reference:
            same.append(record)
        else:
            deviations.append(record | {"reference": reference})

    versions = {p: importlib.metadata.version(p) for p in ("open_clip_torch", "ftfy", "regex")}
    out = sys.stdout
    out.write('{"made_by": %s,\n' % json.dumps(versions | {"python": platform.python_version()}))
    for name, records in (("texts", same), ("deviations", deviations)):
        rows = ",\n".join(json.dumps(r, separators=(",", ":")) for r in records)
        out.write('"%s": [\n%s\n]%s\n' % (name, rows, "," if name == "texts" else "}"))


main()
