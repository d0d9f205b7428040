package datasets

import "strings"

// Counts are the sizes of a data set: its classes and its images by split.
type Counts struct {
	Classes int `json:"classes"`
	Train   int `json:"train"`
	Val     int `json:"val"`
	Test    int `json:"test"`
}

// A Need is a file or folder of a data set and what a user has to fetch to have it.
type Need struct {
	// Path is relative to the data set's folder. A folder ends in a slash.
	Path string
	// What names the download and says where it goes.
	What string
}

// A Spec is a row of the table of data sets: where a data set lies under the data root, how it is
// read, and what is known about it.
type Spec struct {
	// Name is the canonical id, as in CoOp's configuration files.
	Name string
	// Title is the name for people, and part of the split file's name.
	Title string
	// Counts are the published sizes; a split that the publication does not have counts 0.
	Counts Counts
	// Template is the prompt with {} for the class name, Templates the prompt ensemble (nil: only
	// Template).
	Template  string
	Templates []string
	// Needs are the files of the published layout.
	Needs []Need
	// Note is a remark on getting hold of the data, or empty.
	Note string

	section string   // the heading in CoOp's DATASETS.md where that is not the title
	aliases []string // other names, beyond those that differ in case, '-' and '_'
	dirs    []string // folders under the data root, CoOp's first
	images  []string // image folders under that, "" for the folder itself; the first that exists counts
	mounts  []string // folders in the image folder that must be there, and may be links
	split   string   // the split file, or "" where lists or folders are the split

	read   func(*source) error // reads the split where there is no split file; nil: the file must be there
	ignore []string            // class folders that do not take part
	rename map[string]string   // class names that differ from their folders
}

const (
	photo        = "a photo of a {}."
	needsDrive   = " (Google Drive link in CoOp's DATASETS.md)"
	copyOfNames  = "classnames.txt of ImageNet, copied here or left in the data root or in imagenet/"
	coopDocument = "github.com/KaiyangZhou/CoOp, DATASETS.md"
)

// splitNeed is the Need for one of CoOp's split files.
func splitNeed(file string) Need { return Need{file, file + needsDrive} }

// table has one row per data set: the eleven of the few-shot protocol in the papers' usual order,
// then the four ImageNet test sets for distribution shift.
//
// Folders, split files, templates and counts are CoOp's (DATASETS.md, Table 7 of the R-AMT paper).
// Second folder names are where R-AMT's released code looks.
var table = []Spec{
	{
		Name: "imagenet", Title: "ImageNet",
		Counts:   Counts{1000, 1281167, 0, 50000},
		Template: photo, Templates: imagenetEnsemble,
		Needs: []Need{
			{"images/train/", "ILSVRC2012 training images, one folder per class (n01440764, …)"},
			{"images/val/", "ILSVRC2012 validation images, sorted into one folder per class"},
			{classnamesFile, classnamesFile + needsDrive},
		},
		dirs: []string{"imagenet"}, images: []string{"images", ""}, mounts: []string{"train", "val"},
		read: readImageNet,
	},
	{
		Name: "caltech101", Title: "Caltech101",
		Counts:   Counts{100, 4128, 1649, 2465},
		Template: photo,
		Needs: []Need{
			{"101_ObjectCategories/", "101_ObjectCategories.tar.gz, extracted here"},
			splitNeed("split_zhou_Caltech101.json"),
		},
		dirs: []string{"caltech-101", "caltech101"}, images: []string{"101_ObjectCategories"},
		split:  "split_zhou_Caltech101.json",
		read:   readFolders,
		ignore: []string{"BACKGROUND_Google", "Faces_easy"},
		rename: map[string]string{
			"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike",
		},
	},
	{
		Name: "oxford_pets", Title: "OxfordPets",
		Counts:   Counts{37, 2944, 736, 3669},
		Template: "a photo of a {}, a type of pet.",
		Needs: []Need{
			{"images/", "images.tar.gz of the Oxford-IIIT Pet Dataset, extracted here"},
			splitNeed("split_zhou_OxfordPets.json"),
		},
		aliases: []string{"pets", "oxford_iiit_pet"},
		dirs:    []string{"oxford_pets"}, images: []string{"images"},
		split: "split_zhou_OxfordPets.json",
		read:  readPets,
	},
	{
		Name: "stanford_cars", Title: "StanfordCars",
		Counts:   Counts{196, 6509, 1635, 8041},
		Template: photo,
		Needs: []Need{
			{"cars_train/", "cars_train.tgz, extracted here"},
			{"cars_test/", "cars_test.tgz, extracted here"},
			splitNeed("split_zhou_StanfordCars.json"),
		},
		Note: "Stanford's own download is gone, and some copies have renamed files: " +
			"the names must be those in split_zhou_StanfordCars.json (cars_train/00001.jpg, …).",
		aliases: []string{"cars"},
		dirs:    []string{"stanford_cars"}, images: []string{""}, mounts: []string{"cars_train", "cars_test"},
		split: "split_zhou_StanfordCars.json",
	},
	{
		Name: "oxford_flowers", Title: "OxfordFlowers",
		Counts:   Counts{102, 4093, 1633, 2463},
		Template: "a photo of a {}, a type of flower.",
		Needs: []Need{
			{"jpg/", "102flowers.tgz, extracted here"},
			splitNeed("split_zhou_OxfordFlowers.json"),
		},
		section: "Flowers102",
		aliases: []string{"flowers102", "flowers", "oxford_flowers102"},
		dirs:    []string{"oxford_flowers", "flowers102"}, images: []string{"jpg"},
		split: "split_zhou_OxfordFlowers.json",
	},
	{
		Name: "food101", Title: "Food101",
		Counts:   Counts{101, 50500, 20200, 30300},
		Template: "a photo of {}, a type of food.",
		Needs: []Need{
			{"images/", "food-101.tar.gz, extracted into the data root"},
			splitNeed("split_zhou_Food101.json"),
		},
		aliases: []string{"food"},
		dirs:    []string{"food-101", "food101"}, images: []string{"images"},
		split: "split_zhou_Food101.json",
		read:  readFolders,
	},
	{
		Name: "fgvc_aircraft", Title: "FGVCAircraft",
		Counts:   Counts{100, 3334, 3333, 3333},
		Template: "a photo of a {}, a type of aircraft.",
		Needs: []Need{
			{"images/", "fgvc-aircraft-2013b.tar.gz: its folder data/, renamed to fgvc_aircraft/"},
			{"variants.txt", "the same archive"},
			{"images_variant_train.txt", "the same archive"},
			{"images_variant_val.txt", "the same archive"},
			{"images_variant_test.txt", "the same archive"},
		},
		aliases: []string{"fgvc", "aircraft", "fgvc_aircraft_2013b"},
		dirs:    []string{"fgvc_aircraft", "fgvc-aircraft-2013b", "fgvc-aircraft-2013b/data"}, images: []string{"images"},
		read: readAircraft,
	},
	{
		Name: "sun397", Title: "SUN397",
		Counts:   Counts{397, 15880, 3970, 19850},
		Template: photo,
		Needs: []Need{
			{"SUN397/", "SUN397.tar.gz, extracted here"},
			splitNeed("split_zhou_SUN397.json"),
		},
		Note:    "Some copies hold another division of the images; the folders must be SUN397/a/abbey/ and so on.",
		aliases: []string{"sun"},
		dirs:    []string{"sun397"}, images: []string{"SUN397"},
		split: "split_zhou_SUN397.json",
		read:  readSUN,
	},
	{
		Name: "dtd", Title: "DescribableTextures",
		Counts:   Counts{47, 2820, 1128, 1692},
		Template: "{} texture.",
		Needs: []Need{
			{"images/", "dtd-r1.0.1.tar.gz, extracted into the data root"},
			splitNeed("split_zhou_DescribableTextures.json"),
		},
		section: "DTD",
		dirs:    []string{"dtd"}, images: []string{"images"},
		split: "split_zhou_DescribableTextures.json",
		read:  readFolders,
	},
	{
		Name: "eurosat", Title: "EuroSAT",
		Counts:   Counts{10, 13500, 5400, 8100},
		Template: "a centered satellite photo of {}.",
		Needs: []Need{
			{"2750/", "EuroSAT.zip (RGB), extracted here"},
			splitNeed("split_zhou_EuroSAT.json"),
		},
		dirs: []string{"eurosat"}, images: []string{"2750"},
		split: "split_zhou_EuroSAT.json",
		read:  readFolders,
		rename: map[string]string{
			"AnnualCrop": "Annual Crop Land", "HerbaceousVegetation": "Herbaceous Vegetation Land",
			"Highway": "Highway or Road", "Industrial": "Industrial Buildings", "Pasture": "Pasture Land",
			"PermanentCrop": "Permanent Crop Land", "Residential": "Residential Buildings", "SeaLake": "Sea or Lake",
		},
	},
	{
		Name: "ucf101", Title: "UCF101",
		Counts:   Counts{101, 7639, 1898, 3783},
		Template: "a photo of a person doing {}.",
		Needs: []Need{
			{"UCF-101-midframes/", "UCF-101-midframes.zip, extracted here" + needsDrive},
			splitNeed("split_zhou_UCF101.json"),
		},
		aliases: []string{"ucf"},
		dirs:    []string{"ucf101"}, images: []string{"UCF-101-midframes"},
		split: "split_zhou_UCF101.json",
		read:  readUCF,
	},
	{
		Name: "imagenetv2", Title: "ImageNetV2",
		Counts:   Counts{1000, 0, 0, 10000},
		Template: photo, Templates: imagenetEnsemble,
		Needs: []Need{
			{"imagenetv2-matched-frequency-format-val/", "imagenetv2-matched-frequency.tar.gz, extracted here"},
			{classnamesFile, copyOfNames},
		},
		dirs: []string{"imagenetv2"}, images: []string{"imagenetv2-matched-frequency-format-val"},
		read: readImageNetV2,
	},
	{
		Name: "imagenet_sketch", Title: "ImageNetSketch",
		Counts:   Counts{1000, 0, 0, 50889},
		Template: photo, Templates: imagenetEnsemble,
		Needs: []Need{
			{"images/", "the ImageNet-Sketch images, 1,000 folders n*"},
			{classnamesFile, copyOfNames},
		},
		section: "ImageNet-Sketch",
		dirs:    []string{"imagenet-sketch"}, images: []string{"images"},
		read: readImageNetTest,
	},
	{
		Name: "imagenet_a", Title: "ImageNetA",
		Counts:   Counts{200, 0, 0, 7500},
		Template: photo, Templates: imagenetEnsemble,
		Needs: []Need{
			{"imagenet-a/", "imagenet-a.tar, extracted here: 200 folders n*"},
			{classnamesFile, copyOfNames},
		},
		section: "ImageNet-A",
		aliases: []string{"imagenet_adversarial"},
		dirs:    []string{"imagenet-adversarial"}, images: []string{"imagenet-a"},
		read: readImageNetTest,
	},
	{
		Name: "imagenet_r", Title: "ImageNetR",
		Counts:   Counts{200, 0, 0, 30000},
		Template: photo, Templates: imagenetEnsemble,
		Needs: []Need{
			{"imagenet-r/", "imagenet-r.tar, extracted here: 200 folders n*"},
			{classnamesFile, copyOfNames},
		},
		section: "ImageNet-R",
		aliases: []string{"imagenet_rendition"},
		dirs:    []string{"imagenet-rendition"}, images: []string{"imagenet-r"},
		read: readImageNetTest,
	},
}

// Names returns the ids of the known data sets, in the order of the table.
func Names() []string {
	names := make([]string, len(table))
	for i := range table {
		names[i] = table[i].Name
	}
	return names
}

// Lookup returns the row of a data set by its id, its title or another usual spelling: case, '-'
// and '_' do not matter, so "caltech-101", "Caltech101" and "caltech101" are one.
func Lookup(name string) (Spec, bool) {
	if s := lookup(name); s != nil {
		return *s, true
	}
	return Spec{}, false
}

func lookup(name string) *Spec {
	key := fold(name)
	for i := range table {
		s := &table[i]
		if key == fold(s.Name) || key == fold(s.Title) {
			return s
		}
		for _, a := range s.aliases {
			if key == fold(a) {
				return s
			}
		}
	}
	return nil
}

// fold brings spellings of a data set's name together.
func fold(name string) string { return strings.ToLower(unspelt.Replace(name)) }

var unspelt = strings.NewReplacer("-", "", "_", "")
