"""Makes siglip.json: ids of transformers' SiglipTokenizer and Siglip2Tokenizer, and of open_clip's HFTokenizer, by the
small vocabularies of subword/testdata. Rows are text, ids of Siglip by unigram.model, of Siglip by bytes.model, of
Siglip 2 by bpe.json, of open_clip with clean="canonicalize" by unigram.json, all cut to twelve.

Made with transformers 5.24.0, sentencepiece 0.2.3, open_clip 3.3.0. Run in this folder.
"""

import json
import pathlib
import shutil
import tempfile

from open_clip.tokenizer import HFTokenizer
from transformers import SiglipTokenizer, TokenizersBackend

HERE = pathlib.Path(__file__).parent
SUBWORD = HERE.parent / "subword" / "testdata"
TEXTS = ["", " ", "a photo of a cat", "A Photo of a CAT.", "snake_case_name", "it's  half-done!", "</s>", "a </s> b",
    "<unk>x</s>", "a b</s>", "▁", "▁▁a", "«café» “x”",
         "ΑΣ Σ", "İ", "\x1cx", "a photo of the old glass house by the old river, at night", "写真", "&amp;", "<tag>",
         "#1 ① ½"]

one, two = (SiglipTokenizer(str(SUBWORD / f), extra_ids=0) for f in ("unigram.model", "bytes.model"))
gemma = TokenizersBackend(tokenizer_file=str(SUBWORD / "bpe.json"))
with tempfile.TemporaryDirectory() as dir:
    shutil.copy(SUBWORD / "unigram.json", f"{dir}/tokenizer.json")
    pathlib.Path(dir, "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="TokenizersBackend",
        pad_token="</s>", eos_token="</s>", unk_token="<unk>")))
    clean = HFTokenizer(dir, context_length=12, clean="canonicalize")
    rows = [[t, one(t, truncation=True, max_length=12).input_ids, two(t, truncation=True, max_length=12).input_ids,
             gemma(t, truncation=True, max_length=12).input_ids, clean([t])[0].tolist()] for t in TEXTS]
(HERE / "siglip.json").write_text("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "]\n")
