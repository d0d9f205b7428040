// Package jpeg decodes JPEG to the very RGB bytes that Pillow gives.
//
// Published CLIP results were all made with pixels that libjpeg-turbo decoded. A decoder that is merely correct gives other
// pixels: the standard leaves the precision of the inverse DCT and the whole of chroma upsampling open. Go's own image/jpeg,
// measured against Pillow 13.0 (libjpeg-turbo 3.2) on a noisy 500x375 photograph-like picture, differs
//
//	greyscale  in  2.3 % of the samples, by at most  1   (another inverse DCT)
//	4:4:4      in 18.4 % of the samples, by at most  3   (and another colour matrix)
//	4:2:0      in 79.9 % of the samples, by at most 32   (and replicated chroma)
//
// and it says that its output may change between releases. This decoder differs in none: the tests compare whole pictures
// byte by byte. What makes it equal is
//
//   - the 13-bit integer inverse DCT of Loeffler, Ligtenberg and Moschytz that libjpeg calls ISLOW ([idct]);
//   - "fancy" upsampling: a triangle filter for 2:1 horizontal, 1:2 vertical and 2:2 subsampling, replication for any other
//     whole ratio and for components at most two samples wide ([upsampler]);
//   - the 16-bit fixed-point YCbCr matrix, and Pillow's way from Adobe's inverted CMYK to RGB.
//
// Supported are 8-bit baseline, extended sequential and progressive Huffman-coded files with one component (grey), three
// (YCbCr or RGB) or four (CMYK or YCCK), interleaved or not, with restart markers. No orientation tag and no colour profile
// is applied. Arithmetic coding, lossless and hierarchical modes and 12-bit samples are an [UnsupportedError].
//
// # Damaged files
//
// A file that ends early is a [FormatError]: like Pillow, the decoder wants to see the end-of-image marker, unless the picture
// is in one scan, complete, and padded with something else. Bytes between two markers are skipped. Sequential files without
// Huffman tables have the standard's, as the pictures of Motion JPEG do. Where a marker comes before the data that should
// precede it, libjpeg paints the rest grey, and where the last scans of a progressive file are missing it smooths what is
// coarse; Pillow says nothing. Well-known data sets hold such files (two in Oxford-IIIT Pet), so the decoder gives the same
// pixels, and says so in [Image.Warning]. All other damage is refused, also where libjpeg would go on with what it has:
// undefined Huffman codes, restart markers out of order, coefficients past the end of a block, components of which nothing
// was sent.
//
// # Memory
//
// A picture takes three bytes a pixel, and where its coefficients come in several scans two more for each of them: at most
// nine bytes a pixel with three components, six if the chroma of a progressive file has half the resolution each way.
package jpeg
