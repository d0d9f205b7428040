"""Makes the files beside this one: small vocabularies, trained on made-up captions, and the ids that their own libraries
give.

Made with sentencepiece 0.2.3, tokenizers 0.23.3, protobuf. Run in this folder; what comes out is the same each time.
"""

import itertools
import json
import pathlib
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
NOUNS = "cat dog bird house tree river cafe street glass stone".split()
CAPTIONS = [f"a {kind} of {article} {adjective} {noun}{end}"
    for kind, article, adjective, noun, end in itertools.product(
    ["photo", "drawing", "painting"], ["a", "the"], ["small", "large", "old", "blue"], NOUNS, ["", ".", ", at night"])]
CAPTIONS += ["das Foto einer Straße", "naïve café façade", "снимок кота", "12 cats and 345 dogs", "a  photo",
    "line\nbreak"] * 5

TEXTS = ["", " ", "  ", "a", "a photo of a cat", "A Photo Of A Cat!", "  both  ends ", "two  spaces", "tab\tnew\nline",
    "\n\n", "▁", "▁▁a ▁", "a▁b",
         "photophotophoto", "12 cats", "2024", "3rd", "café", "cafe\u0301", "cafe\u0323\u0301", "e\u0301\u0302\u0303",
         "ﬁne", "Ｆｕｌｌ ｗｉｄｔｈ", "½ ² ™",
         "Straße", "снимок кота", "写真 の 猫", "東京", "🐱🐶 cat", "👩\u200d🚀", "🇨🇭", "\u200bzero", "a\u00a0b\u2003c\u3000d",
         "\r\n x", "null\x00byte", "bell\x07",
         "\ufeffbom", "\ufffd", "<unk>", "</s>", "<pad> x", "a <tag> b", "a<tag>b", "<tag><tag>", "x [MASK] y",
         "[CLS] a [SEP]", "<0x41>", "don't U.S.A. $3.50",
         "a" * 40, "ab" * 120, "unaffable", "PHOTOGRAPHS", "Σίσυφος ΣΑΣ", "İstanbul", "ẞ",
         "the old glass house, at night", "\u1100\u1161", "한국어", "हिन्दी",
         "a photo of the small stone.", "drawingpaintings", "a  \n  b", "x\u0345y", "ｶﾞ", "\U0001d518", "q"]


def train(name, edit=lambda m: None, **how):
    with tempfile.TemporaryDirectory() as dir:
        corpus = pathlib.Path(dir) / "corpus.txt"
        corpus.write_text("\n".join(c.replace("\n", " ") for c in CAPTIONS) + "\n")
        sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=f"{dir}/m", minloglevel=2,
            num_threads=1, hard_vocab_limit=False, **how)
        model = proto.ModelProto.FromString((pathlib.Path(dir) / "m.model").read_bytes())
    model.trainer_spec.ClearField("input")
    model.trainer_spec.ClearField("model_prefix")
    edit(model)
    (HERE / f"{name}.model").write_bytes(model.SerializeToString(deterministic=True))
    p = sentencepiece.SentencePieceProcessor(model_file=str(HERE / f"{name}.model"))
    expected[f"{name}.model"] = [p.encode(t) for t in TEXTS]
    return model


expected = {}
with tempfile.TemporaryDirectory() as dir:
    rules = pathlib.Path(dir) / "rules.tsv"
    pairs = {"e\u0301": "é", "e\u0301\u0302": "ế", "e\u0323": "ẹ", "e\u0323\u0301": "ẹ\u0301", "ﬁ": "fi", "½": "1⁄2",
        "²": "2", "™": "TM", "\t": " ",
             "\n": " ", "\r": " ", "\r\n": " ", "\u00a0": " ", "\u2003": " ", "\u3000": " ", "\u200b": "", "\ufeff": "",
             "ｶﾞ": "ガ", "ｶ": "カ", "\u2581": " "}
    pairs |= {chr(0xFF21 + i): chr(65 + i) for i in range(26)} | {chr(0xFF41 + i): chr(97 + i) for i in range(26)}
    points = lambda s: " ".join(f"{ord(c):X}" for c in s)
    rules.write_text("".join(f"{points(a)}\t{points(b)}\n" for a, b in pairs.items()))
    siglip = train("unigram", model_type="unigram", vocab_size=110, normalization_rule_tsv=str(rules), pad_id=0,
        eos_id=1, unk_id=2, bos_id=-1,
                   user_defined_symbols=["<tag>"])


def some_unused(model):
    for p in model.pieces:
        if p.piece in ("▁photo", "▁a", "at", "tr", "▁painting"):
            p.type = proto.ModelProto.SentencePiece.UNUSED


train("bytes", some_unused, model_type="unigram", vocab_size=340, byte_fallback=True,
    normalization_rule_name="identity", remove_extra_whitespaces=False,
      pad_id=0, eos_id=1, unk_id=2, bos_id=-1, treat_whitespace_as_suffix=True)
gemma = train("bpe", some_unused, model_type="bpe", vocab_size=420, byte_fallback=True,
    normalization_rule_name="identity", add_dummy_prefix=False,
              remove_extra_whitespaces=False, split_digits=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
              user_defined_symbols=["<tag>", "\n", "▁▁"])


def save(name, t):
    t.save(str(HERE / f"{name}.json"), pretty=False)
    expected[f"{name}.json"] = [t.encode(s).ids for s in TEXTS]


template = lambda single, **special: processors.TemplateProcessing(single=single,
    special_tokens=[(k, v) for k, v in special.items()])

# T5's form, of which SigLIP's is.
t = Tokenizer(models.Unigram([(p.piece, p.score) for p in siglip.pieces], unk_id=2, byte_fallback=False))
t.normalizer = normalizers.Precompiled(siglip.normalizer_spec.precompiled_charsmap)
t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
    pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
t.add_special_tokens([AddedToken(s, normalized=False) for s in ("<pad>", "</s>", "<unk>")])
t.add_tokens([AddedToken("[MASK]", lstrip=True, rstrip=True, normalized=True)])
t.post_processor = template("$A </s>", **{"</s>": 1})
save("unigram", t)

# XLM-R's form as older files have it: spaces at the end dropped, runs of them one; a text begins with <pad> here, so
# that something stands before it.
t = Tokenizer(models.Unigram([(p.piece, p.score) for p in siglip.pieces], unk_id=2, byte_fallback=False))
t.normalizer = normalizers.Sequence([normalizers.Precompiled(siglip.normalizer_spec.precompiled_charsmap),
    normalizers.Strip(left=False, right=True),
                                     normalizers.Replace(Regex(" {2,}"), "▁")])
t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
t.add_special_tokens([AddedToken("</s>", normalized=False), AddedToken("<tag>", rstrip=True, normalized=False)])
t.post_processor = template("<pad> $A </s>", **{"<pad>": 0, "</s>": 1})
save("first", t)

# Gemma's.
vocab = {p.piece: i for i, p in enumerate(gemma.pieces)}
merges = sorted(((a + b, a, b) for a in vocab for b in vocab if a + b in vocab),
    key=lambda m: (-gemma.pieces[vocab[m[0]]].score, vocab[m[1]], vocab[m[2]]))
t = Tokenizer(models.BPE(vocab=vocab, merges=[(a, b) for _, a, b in merges], fuse_unk=True, unk_token="<unk>",
    byte_fallback=True))
t.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
t.add_special_tokens([AddedToken(s, normalized=False) for s in ("<pad>", "</s>", "<s>", "<unk>", "<tag>", "\n", "▁▁")])
t.post_processor = template("$A </s>", **{"</s>": 1})
t.enable_padding(length=4, pad_id=0, pad_token="<pad>")
save("bpe", t)
t.no_padding()
expected["bpe.json"] = [t.encode(s).ids for s in TEXTS]

# The same without bytes: unknown characters in a row are one, or each one.
for name, fuse in (("fused", True), ("unfused", False)):
    t = Tokenizer(models.BPE(vocab={"<unk>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abab": 5, "ba": 6, " ": 7, "t": 8},
                             merges=[("b", "a"), ("a", "b"), ("ab", "ab")], fuse_unk=fuse, unk_token="<unk>"))
    save(name, t)

# BERT's.
t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
t.train_from_iterator(CAPTIONS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=specials, show_progress=False))
t.post_processor = template("[CLS] $A [SEP]", **{"[CLS]": 2, "[SEP]": 3})
save("wordpiece", t)
(HERE / "vocab.txt").write_text("".join(s + "\n" for s, _ in sorted(t.get_vocab().items(), key=lambda x: x[1])))
expected["vocab.txt"] = expected["wordpiece.json"]

for name, rows in expected.items():
    assert len(rows) == len(TEXTS), name
lines = [f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "]"
    for name, rows in expected.items()]
(HERE / "expected.json").write_text('{"texts": ' + json.dumps(TEXTS) + ",\n" + '"ids": {' + ",\n".join(lines) + "}}\n")
