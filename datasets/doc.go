// Package datasets finds labelled images: the eleven data sets of the few-shot literature, four
// ImageNet test sets for distribution shift, and anybody's own folders of images.
//
// # One table
//
// The data sets differ in folder, split file, prompt and a few spellings, so they are rows of one
// table (table.go), read by one reader:
//
//	split.go     split_zhou_*.json, CoOp's published train/val/test divisions
//	lists.go     official text lists: FGVC-Aircraft, and the fall-backs of Pets, SUN397 and UCF101
//	layout.go    what the folders of people's own images are for, from their names (tree.go)
//	folder.go    people's own folders; parts.go, their parts and classes, and further fall-backs
//	labels.go    tables of paths and labels (rows.go), and parquet.go images inside Parquet files
//	place.go     where an image's file lies, and what confines it
//	imagenet.go  ImageNet, V2, Sketch, A and R, whose labels are ranks of WordNet ids
//
// Images come from internal/imaging, which decodes, resizes and crops them as Pillow and torchvision do.
//
// [Open] takes a data root, laid out as CoOp's DATASETS.md says, and a name or a path; [OpenFolder]
// takes a folder. Both return a [Dataset]: class names ready for a prompt, a prompt template, and
// three lists of items. No image is opened; [Dataset.ReadItem] does that, [Dataset.Verify] makes sure
// before a long run that they are there, [Check] looks at every one and says what to fetch, and
// [Dataset.Digest] tells whether they hold what they held.
//
// A data set can also live in memory ([New]); [Export] writes it, or a subset of one on disk, in
// CoOp's layout, and the copy has the same [Dataset.SplitHash] as the original.
//
// From items to pixels leads a [Loader], which decodes in the background and crops as its [Transform]
// says. With LoaderOptions.Crops it hands out each picture once, and then for every image a [Crop], from
// which a GPU that keeps the pictures makes the same pixels.
//
// # The protocol
//
// Published few-shot results are means over seeds 1, 2 and 3, where a seed means one exact choice
// of training images. [Dataset.FewShot] makes the same choice as CoOp and Dassl do, by the same
// generator (internal/pyrand). [Dataset.Subset] then divides the classes into base and new as CoOp
// does, after sampling. [Dataset.SplitHash] is the proof that two runs used the same images.
//
// Two choices can not be reproduced. ImageNet's order of files, and that of every split that CoOp
// generated where no published one existed, came from the order in which a file system happened to
// list a folder. Here such lists are sorted by name, so that they are the same everywhere, and
// Dataset.Generated says when a split is not the published one.
//
// # Trust
//
// Split files and archives of images come from strangers. The reader of splits is strict and bounded
// and reports everything wrong at once; images are opened through os.Root, so neither a path in a
// split nor a link in an archive leads out of the data set, and decoded within bounds of bytes and
// pixels. What this package does not do: it does not download, and does not read MATLAB files (Stanford
// Cars and Flowers need their split file).
package datasets
