"""Makes a folder of TestGoldenVectors' third form: the vocabularies of real models, and what sentencepiece makes of some
thousand texts in many scripts.

    python make.py PACKAGES OUT

PACKAGES is where run.sh put the Python packages that have the vocabularies in them.
"""

import json
import pathlib
import random
import shutil
import sys
import unicodedata

import babel
import sentencepiece

PACKAGES, OUT = map(pathlib.Path, sys.argv[1:3])
FILES = {
    # BPE with byte fallback, 32,000 pieces, and with 771 control pieces before them.
    "mistral-v1": "mistral_common/data/tokenizer.model.v1",
    "mistral-v3": "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3",
    # Unigram, 262,144 pieces.
    "jurassic-2": "ai21_tokenizer/resources/j2-tokenizer/j2-tokenizer.model",
}


def texts():
    """Names of countries and languages in all languages of CLDR, in prompts, in sequences, in disorder; and letters of
    every script."""
    r = random.Random(1)
    names = set()
    for locale in babel.localedata.locale_identifiers():
        l = babel.Locale.parse(locale)
        names.update(r.sample(sorted(l.territories.values()), min(8, len(l.territories))))
        names.update(r.sample(sorted(l.languages.values()), min(8, len(l.languages))))
    names = sorted(names)
    r.shuffle(names)
    yield from names[:2500]
    for name in names[:800]:
        yield f"a photo of a {name}, a type of flower."
    for i in range(600):
        parts = r.sample(names, r.randint(2, 5))
        yield r.choice([" ", "  ", ", ", "\n", "\t", " \u3000", "-", "／", "… "]).join(parts)
    letters = [c for c in map(chr, range(0x20, 0x1FBFF)) if unicodedata.category(c)[0] not in "C"
        or c in "\u200b\u200d\ufeff"]
    for i in range(600):
        yield "".join(r.choice(letters) for _ in range(r.randint(1, 12)))
    for i in range(300):  # neighbours, which are of one script
        at = r.randrange(len(letters) - 40)
        yield "".join(r.choice(letters[at:at + 40]) for _ in range(r.randint(1, 20))) + r.choice(["", " ", "1,000", "é",
            "e\u0301", "ﬁ", "👩‍👩‍👧"])
    yield from ["", " ", "   a   b  ", "\u2581a", "<s>", "</s> a", "<unk>", "<0x41>", "[INST] x [/INST]", "a" * 300,
        "ab" * 150, "\r\n", "１２３", "Å", "ﷺ", "ß" * 20]


def main():
    (OUT / "cases").mkdir(parents=True)
    source = list(texts())
    for name, path in FILES.items():
        folder = OUT / "tokenizers" / name
        folder.mkdir(parents=True)
        shutil.copy(PACKAGES / path, folder / "m.model")
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "m.model"))
        ids, size = [model.encode(t) for t in source], model.vocab_size()
        about = {"length": 0, "columns": {"ids": "m.model"}, "vocab_size": size}
        rows = [{"text": t, "ids": i} for t, i in zip(source, ids)]
        (folder / "strings.json").write_text(json.dumps({"about": about, "rows": rows}))
        print(f"{name}: {size} pieces, {len(rows)} texts, {sum(map(len, ids))} ids; sentencepiece {sentencepiece.__version__}")


main()
