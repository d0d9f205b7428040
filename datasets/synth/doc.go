// Package synth draws a small image–text world: pictures of coloured, textured things in front of scenes, captions that
// say some of what is there, and few-shot classification tasks in styles that the captioned pictures never show.
//
// It exists so that a CLIP model can be pre-trained and adapted on a machine that has nothing but this program: no
// download, no licence, no data set on disk. Pictures are 48×48 RGB.
//
// # The pre-training world
//
// [Pair] draws item i of an endless stream of (picture, caption) pairs; [Captions] gives the captions alone, fast
// enough to train a tokenizer on a hundred thousand of them. A picture is one of six kinds: one object; one to five of
// a kind; two in a relation; a letter or digit; a scene; a texture. Its parts come from closed lists:
//
//   - 48 shapes, of which star, flower and gear also come in four variants each ("a star with six points");
//   - 26 letters and 10 digits;
//   - 12 colours and 13 textures, plain included;
//   - 13 scenes, from the sky to a brick wall, beside plain and textured backgrounds;
//   - 4 sizes, 9 places, 5 relations, counts from one to five;
//   - 14 styles: photo, sketch, neon sign, silhouette, cartoon, negative, night …
//
// Sixteen consecutive pairs form an album: one style, one backdrop, often one colour. Batches of neighbours therefore
// hold negatives that only the subject tells apart; shuffle the indices to have independent pairs.
//
// A caption is built from templates, with synonyms, and leaves things out at random, as people do: "a photo of a red
// star.", "three small green circles", "a pencil drawing of a fish", "the letter k in the snow". Prompts of the kind
// "a photo of a {}." are part of that language. Captions are lower-case ASCII.
//
// # The tasks
//
// [Tasks] lists classification problems with 10 to 40 classes. Each has a domain (see domain.go): a fixed style of
// line, colour cast, contrast and damage that is foreign to pre-training, so that a zero-shot classifier is far
// better than chance and far from what the same weights can do. Two tasks have a second test set in yet another
// style, "shift", to measure how adaptation to one style transfers, as ImageNet-Sketch does for ImageNet; "things"
// has a third, "shift2".
//
// # What can be relied on
//
// A picture depends on (seed, purpose, index) alone, where the purpose is pre-training or a task's split: streams never
// overlap, nothing is shared between calls, and items may be drawn in any order by any number of goroutines. All
// arithmetic is on integers, but for one correctly rounded square root, so every platform draws the same bytes; a test
// holds hashes of them. Changing what is drawn is changing a data set: results and embedded weights depend on it.
//
// Not handled: other sizes, perspective, true lighting, objects that overlap on purpose, and any claim that results
// here carry over to photographs.
package synth
