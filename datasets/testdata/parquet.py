"""Writes the Parquet files of ../parquet_test.go: images as Hugging Face's datasets and pyarrow write them.
Run with datasets 5.2.0, pyarrow 26.0.1, Pillow: python parquet.py
"""
import io, os
import datasets, pyarrow as pa, pyarrow.parquet as pq
from PIL import Image

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "parquet")
os.makedirs(here, exist_ok=True)

def picture(i):
    return Image.new("RGB", (2, 2), (i * 7 % 256, i * 31 % 256, i))

def png(i):
    b = io.BytesIO()
    picture(i).save(b, "PNG")
    return b.getvalue()

features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["zebra", "cat", "ant"])})

def hf(name, labels, start):
    ds = datasets.Dataset.from_dict({"image": [picture(start + i) for i in range(len(labels))], "label": labels},
        features=features)
    ds.to_parquet(os.path.join(here, name))

hf("train-00000-of-00001.parquet", [0, 1, 2, 0, 1, 2, -1, None], 0)
hf("test-00000-of-00001.parquet", [2, 1, 0], 50)

def table(name, labels, strings=False, images=None, extra=None, **kw):
    images = images or [{"bytes": png(i), "path": f"{i}.png"} for i in range(len(labels))]
    columns = {"id": list(range(len(labels))), "image": pa.array(images,
        pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
               "label": pa.array(labels, pa.string() if strings else pa.int64())}
    columns.update(extra or {})
    pq.write_table(pa.table(columns), os.path.join(here, name), **kw)

n = 20
words = [["cat", "dog"][i % 2] for i in range(n)]
table("snappy.parquet", words, True, compression="snappy", row_group_size=7)
table("plain-v2.parquet", words, True, compression="none", data_page_version="2.0", use_dictionary=False,
    data_page_size=200, write_batch_size=2)
table("gzip-v2.parquet", words, True, compression="gzip", data_page_version="2.0")
table("dictionary.parquet", words, True, images=[{"bytes": png(i % 3), "path": None} for i in range(n)],
    compression="snappy", use_dictionary=True)
table("numbers.parquet", [i % 2 for i in range(n)], compression="none")
table("nulls.parquet", words, True, images=[None if i % 4 == 3 else {"bytes": png(i), "path": None} for i in range(n)],
    compression="none")
table("paths.parquet", words, True, images=[{"bytes": None, "path": f"/data/{i}.png"} for i in range(n)])
table("zstd.parquet", words, True, compression="zstd")
table("two.parquet", words, True, extra={"class": words})
table("lists.parquet", words, True, extra={"objects": pa.array([[1, 2]] * n)})
pq.write_table(pa.table({"image": pa.array([png(i) for i in range(n)], pa.binary()),
    "label": pa.array(words).dictionary_encode()}), os.path.join(here, "flat.parquet"), compression="none")
pq.write_table(pa.table({"text": words}), os.path.join(here, "text.parquet"))
