// Package imaging turns the files of image data sets into the pixels that CLIP's published results were made with: those of
// Pillow. Pixels matter there. A picture resized with another bicubic kernel, or without antialiasing, has a feature whose
// cosine to the right one is about 0.94, and nothing ever reports an error.
//
// # Decoding
//
// [Decode] gives the bytes of Image.open(file).convert("RGB"), for
//
//	JPEG   own decoder, package jpeg: equal to libjpeg-turbo in every byte (Go's own is not, see there)
//	PNG    image/png; 16-bit colour is cut to its high byte, 16-bit grey is clamped to 255, as Pillow does; what follows the
//	       picture does not matter
//	GIF    own reader over compress/lzw; the first frame on a canvas of the transparent colour, or of colour 0
//	WebP   golang.org/x/image/webp for the planes; chroma upsampling and colours as libwebp does them; the first frame of an
//	       animation on its canvas
//	BMP    own reader of everything that is not compressed
//	TIFF   golang.org/x/image/tiff, for the kinds that it decodes as Pillow does; its first picture, turned as its tag says
//	PNM    own reader of P1 to P6
//
// Alpha is dropped and not composited, so that hidden colours come to light; transparent palette entries keep their colour.
// Orientation tags, but TIFF's, and colour profiles are ignored. The format is told by the first bytes, never by the name.
//
// Not decoded, although Pillow does: JPEG 2000, AVIF and other formats outside the common data sets; arithmetic-coded JPEG;
// run-length-coded BMP; TIFF compressed by other formats or with other colours than grey and RGB. They are an [Error] of
// kind [Unsupported]. docs/images.md has the whole list.
//
// # Strangers' files
//
// The size in the header is checked against [Limits] before a pixel is allocated, and all decoders together keep to a
// budget. A file that ends early is refused, and so is one whose checksums or codes are wrong. The exceptions, where
// the pixels are Pillow's and [RGB.Warning] says what is amiss: JPEG data that ends before its end marker comes, or
// lacks its last scans (see package jpeg), PNG files that are damaged after the picture, and files of several pictures
// or frames. Damage that leaves a valid file cannot be seen here; most flipped bits of a JPEG file are of that kind.
// Only a checksum kept elsewhere tells them.
//
// # Resizing
//
// [Resizer] is Pillow's antialiased bicubic resize for 8-bit channels, bit for bit, in the order of passes that it is told:
// Pillow 13's ([RowsFirst]), or that of the versions before, which published results were made with. What is computed in
// floating point are the weights alone, and they end as integers: who has them from a [Filters], and the picture, can do the
// rest elsewhere.
//
// # Shown by
//
// testdata/pictures.txt holds the SHA-256 of Pillow's pixels for 300 files of all these kinds, resize-12.txt and
// resize-13.txt beside it those of 164 resizes; the scripts that made them are beside them. The decoded pixels agree
// with Pillow 11.3, 12.3 and 13.0.
package imaging
