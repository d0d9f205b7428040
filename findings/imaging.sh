#!/usr/bin/env bash
# golang.org/x/image/tiff gives fax-coded TIFF files (groups 3 and 4) with PhotometricInterpretation 1 in the negative.
#
# TIFF 6.0, section 11: "if the PhotometricInterpretation is BlackIsZero, the TIFF reader must reverse the meaning of
# white and black". libtiff does, and Pillow writes every 1-bit picture that way; so every group 4 file that Pillow
# writes comes out of Go inverted, without an error. Prints the first pixels of one file as both decode it; exits 1 if
# they agree.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet pillow==13.0.0
cd "$tmp"
"$tmp/venv/bin/python" - <<'PY'
import PIL
from PIL import Image, features

im = Image.new("1", (16, 4), 1)  # white, with a black stroke
im.paste(0, (2, 0, 5, 4))
for kind in ("raw", "group3", "group4"):
    im.save(f"{kind}.tif", compression=None if kind == "raw" else kind)
print(f"Pillow {PIL.__version__}, libtiff {features.version('libtiff')}")
for kind in ("raw", "group3", "group4"):
    with Image.open(f"{kind}.tif") as m:
        print(f"{kind}: photometric {m.tag_v2[262]}", [m.getpixel((x, 0)) for x in range(8)])
PY
cat > main.go <<'GO'
package main

import (
	"fmt"
	"image"
	"os"

	"golang.org/x/image/tiff"
)

func main() {
	same := true
	for _, kind := range []string{"raw", "group3", "group4"} {
		f, err := os.Open(kind + ".tif")
		if err != nil {
			panic(err)
		}
		m, err := tiff.Decode(f)
		if err != nil {
			panic(err)
		}
		fmt.Println(kind+":", m.(*image.Gray).Pix[:8])
		same = same && m.(*image.Gray).Pix[0] == 255
	}
	if same {
		os.Exit(1)
	}
}
GO
go mod init finding >/dev/null 2>&1
go get golang.org/x/image@v0.47.0 >/dev/null 2>&1
echo "golang.org/x/image v0.47.0, $(go version | cut -d' ' -f3)"
go run .
