package datasets

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// published builds one data set's folder in miniature and says what Open must make of it.
type published struct {
	label   string
	name    string // what is opened
	build   func(t *testing.T, root string)
	classes []string
	counts  Counts
	first   [3]string // first path of train, val and test
	tmpl    string
	made    bool // Generated
}

// jsonLayout is a data set with a split file of two classes and files at the given image folder.
func jsonLayout(name, dir, images, file string, tmpl string) published {
	paths := func(part string, n int) (items []Item) {
		for i := range n {
			y := int32(i % 2)
			items = append(items, Item{Path: fmt.Sprintf("%s%d.jpg", part, i), Label: y, Class: []string{"first_thing", "second thing"}[y]})
		}
		return items
	}
	if name == "stanford_cars" {
		paths = func(part string, n int) (items []Item) {
			for i := range n {
				y := int32(i % 2)
				folder := "cars_train/"
				if part == "test" {
					folder = "cars_test/"
				}
				items = append(items, Item{Path: fmt.Sprintf("%s%s%d.jpg", folder, part, i), Label: y, Class: []string{"first_thing", "second thing"}[y]})
			}
			return items
		}
	}
	train, val, test := paths("train", 5), paths("val", 2), paths("test", 3)
	return published{
		label: name + "/json", name: name, tmpl: tmpl,
		build: func(t *testing.T, root string) {
			base := filepath.Join(root, dir)
			writeFile(t, base, file, splitJSON(t, train, val, test))
			for _, part := range [][]Item{train, val, test} {
				for _, it := range part {
					writeImages(t, filepath.Join(base, images), it.Path)
				}
			}
		},
		classes: []string{"first thing", "second thing"},
		counts:  Counts{2, 5, 2, 3},
		first:   [3]string{train[0].Path, val[0].Path, test[0].Path},
	}
}

// classImages writes n images into every folder.
func classImages(t *testing.T, dir string, n int, folders ...string) {
	for _, f := range folders {
		for i := range n {
			writeImages(t, dir, fmt.Sprintf("%s/%02d.jpg", f, i))
		}
	}
}

var layouts = []published{
	jsonLayout("caltech101", "caltech-101", "101_ObjectCategories", "split_zhou_Caltech101.json", "a photo of a {}."),
	jsonLayout("oxford_pets", "oxford_pets", "images", "split_zhou_OxfordPets.json", "a photo of a {}, a type of pet."),
	jsonLayout("stanford_cars", "stanford_cars", "", "split_zhou_StanfordCars.json", "a photo of a {}."),
	jsonLayout("oxford_flowers", "oxford_flowers", "jpg", "split_zhou_OxfordFlowers.json", "a photo of a {}, a type of flower."),
	jsonLayout("food101", "food-101", "images", "split_zhou_Food101.json", "a photo of {}, a type of food."),
	jsonLayout("sun397", "sun397", "SUN397", "split_zhou_SUN397.json", "a photo of a {}."),
	jsonLayout("dtd", "dtd", "images", "split_zhou_DescribableTextures.json", "{} texture."),
	jsonLayout("eurosat", "eurosat", "2750", "split_zhou_EuroSAT.json", "a centered satellite photo of {}."),
	jsonLayout("ucf101", "ucf101", "UCF-101-midframes", "split_zhou_UCF101.json", "a photo of a person doing {}."),
	aircraft("fgvc_aircraft"),
	aircraft("fgvc-aircraft-2013b"),
	aircraft("fgvc-aircraft-2013b/data"),
	imagenet("images/", "imagenet/"),
	imagenet("", ""),
	{
		label: "imagenetv2", name: "imagenetv2", tmpl: "a photo of a {}.",
		build: func(t *testing.T, root string) {
			writeFile(t, root, "imagenetv2/classnames.txt", classnames(11))
			for i := range 11 {
				classImages(t, filepath.Join(root, "imagenetv2/imagenetv2-matched-frequency-format-val"), 1, fmt.Sprint(i))
			}
		},
		// Folder 2 is label 2, though "10" sorts before it.
		classes: []string{"name 0", "name 1", "name 2", "name 3", "name 4", "name 5", "name 6", "name 7", "name 8", "name 9", "name 10"},
		counts:  Counts{11, 0, 0, 11},
		first:   [3]string{2: "0/00.jpg"},
	},
	imagenetTest("imagenet_sketch", "imagenet-sketch/images"),
	imagenetTest("imagenet_a", "imagenet-adversarial/imagenet-a"),
	imagenetTest("imagenet_r", "imagenet-rendition/imagenet-r"),
	{
		label: "caltech101/folders", name: "Caltech-101", tmpl: "a photo of a {}.", made: true,
		build: func(t *testing.T, root string) {
			classImages(t, filepath.Join(root, "caltech-101/101_ObjectCategories"), 10,
				"BACKGROUND_Google", "Faces_easy", "Faces", "accordion", "airplanes", "wild_cat")
			writeFile(t, root, "caltech-101/101_ObjectCategories/accordion/tmp", "")
			writeImages(t, root, "caltech-101/101_ObjectCategories/.hidden/1.jpg", "caltech-101/101_ObjectCategories/accordion/._00.jpg")
		},
		classes: []string{"face", "accordion", "airplane", "wild cat"},
		counts:  Counts{4, 20, 8, 12},
		// random.seed(1); x = list(range(10)); random.shuffle(x) is [6, 8, 9, 7, 5, 3, 0, 4, 1, 2].
		first: [3]string{"Faces/06.jpg", "Faces/03.jpg", "Faces/04.jpg"},
	},
	{
		label: "eurosat/folders", name: "eurosat", tmpl: "a centered satellite photo of {}.", made: true,
		build: func(t *testing.T, root string) {
			classImages(t, filepath.Join(root, "eurosat/2750"), 4, "AnnualCrop", "Forest", "SeaLake")
		},
		classes: []string{"Annual Crop Land", "Forest", "Sea or Lake"},
		counts:  Counts{3, 6, 3, 3},
		first:   [3]string{"AnnualCrop/03.jpg", "AnnualCrop/02.jpg", "AnnualCrop/01.jpg"},
	},
	{
		label: "oxford_pets/lists", name: "pets", tmpl: "a photo of a {}, a type of pet.", made: true,
		build: func(t *testing.T, root string) {
			var trainval strings.Builder
			for i := range 5 {
				fmt.Fprintf(&trainval, "Great_Pyrenees_%d 2 2 1\nAbyssinian_%d 1 1 1\n", i+1, i+1)
			}
			dir := filepath.Join(root, "oxford_pets")
			writeFile(t, dir, "annotations/trainval.txt", trainval.String())
			writeFile(t, dir, "annotations/test.txt", "Abyssinian_201 1 1 1\nGreat_Pyrenees_101 2 2 1\n")
			writeImages(t, dir, "images/Abyssinian_1.jpg")
		},
		classes: []string{"abyssinian", "great pyrenees"},
		counts:  Counts{2, 8, 2, 2},
		// random.seed(1); x = [0, 2, 4, 6, 8]; random.shuffle(x) is [4, 6, 8, 0, 2].
		first: [3]string{"Great_Pyrenees_4.jpg", "Great_Pyrenees_3.jpg", "Abyssinian_201.jpg"},
	},
	{
		label: "sun397/lists", name: "sun397", tmpl: "a photo of a {}.", made: true,
		build: func(t *testing.T, root string) {
			dir := filepath.Join(root, "sun397")
			writeFile(t, dir, "ClassName.txt", "/a/abbey\n/a/airplane_cabin\n/a/apse/indoor\n")
			var train strings.Builder
			for _, scene := range []string{"/a/abbey", "/a/airplane_cabin", "/a/apse/indoor"} {
				for i := range 3 {
					fmt.Fprintf(&train, "%s/sun_%d.jpg\n", scene, i)
				}
			}
			writeFile(t, dir, "Training_01.txt", train.String())
			writeFile(t, dir, "Testing_01.txt", "/a/apse/indoor/sun_9.jpg\n")
			writeImages(t, dir, "SUN397/a/abbey/sun_0.jpg")
		},
		classes: []string{"abbey", "airplane cabin", "indoor apse"},
		counts:  Counts{3, 6, 3, 1},
		first:   [3]string{"a/abbey/sun_2.jpg", "a/abbey/sun_1.jpg", "a/apse/indoor/sun_9.jpg"},
	},
	{
		label: "ucf101/lists", name: "UCF101", tmpl: "a photo of a person doing {}.", made: true,
		build: func(t *testing.T, root string) {
			dir := filepath.Join(root, "ucf101")
			writeFile(t, dir, "ucfTrainTestlist/classInd.txt", "1 ApplyEyeMakeup\r\n2 YoYo\r\n")
			writeFile(t, dir, "ucfTrainTestlist/trainlist01.txt",
				"ApplyEyeMakeup/v_a.avi 1\nApplyEyeMakeup/v_b.avi 1\nApplyEyeMakeup/v_c.avi 1\nYoYo/v_a.avi 2\nYoYo/v_b.avi 2\nYoYo/v_c.avi 2\n")
			writeFile(t, dir, "ucfTrainTestlist/testlist01.txt", "YoYo/v_d.avi\n")
			writeImages(t, dir, "UCF-101-midframes/Yo_Yo/v_d.jpg")
		},
		classes: []string{"Apply Eye Makeup", "Yo Yo"},
		counts:  Counts{2, 4, 2, 1},
		first:   [3]string{"Apply_Eye_Makeup/v_c.jpg", "Apply_Eye_Makeup/v_b.jpg", "Yo_Yo/v_d.jpg"},
	},
}

func aircraft(dir string) published {
	return published{
		label: "fgvc_aircraft/" + dir, name: "fgvc", tmpl: "a photo of a {}, a type of aircraft.",
		build: func(t *testing.T, root string) {
			base := filepath.Join(root, dir)
			writeFile(t, base, "variants.txt", "F-16A/B\nDouglas A 1\n")
			writeFile(t, base, "images_variant_train.txt", "0034309 Douglas A 1\n0034310 F-16A/B\n")
			writeFile(t, base, "images_variant_val.txt", "0034311 F-16A/B\n")
			writeFile(t, base, "images_variant_test.txt", "0034312 F-16A/B\n0034313 Douglas A 1\n0034314 F-16A/B\n")
			for i := range 6 {
				writeImages(t, base, fmt.Sprintf("images/%07d.jpg", 34309+i))
			}
		},
		classes: []string{"F-16A/B", "Douglas A 1"},
		counts:  Counts{2, 2, 1, 3},
		first:   [3]string{"0034309.jpg", "0034311.jpg", "0034312.jpg"},
	}
}

func imagenet(images, names string) published {
	return published{
		label: "imagenet/" + images, name: "imagenet", tmpl: "a photo of a {}.",
		build: func(t *testing.T, root string) {
			writeFile(t, root, names+"classnames.txt", classnames(5))
			base := filepath.Join(root, "imagenet", images)
			classImages(t, filepath.Join(base, "train"), 3, wordnetID(3), wordnetID(1))
			classImages(t, filepath.Join(base, "val"), 2, wordnetID(1), wordnetID(3))
		},
		classes: []string{"name 1", "name 3"},
		counts:  Counts{2, 6, 0, 4},
		first:   [3]string{"train/" + wordnetID(1) + "/00.jpg", "", "val/" + wordnetID(1) + "/00.jpg"},
	}
}

func imagenetTest(name, images string) published {
	return published{
		label: name, name: name, tmpl: "a photo of a {}.",
		build: func(t *testing.T, root string) {
			writeFile(t, root, "imagenet/classnames.txt", classnames(5))
			classImages(t, filepath.Join(root, images), 2, wordnetID(4), wordnetID(2))
			writeFile(t, filepath.Join(root, images), "README.txt", "")
		},
		classes: []string{"name 2", "name 4"},
		counts:  Counts{2, 0, 0, 4},
		first:   [3]string{2: wordnetID(2) + "/00.jpg"},
	}
}

func TestLayouts(t *testing.T) {
	covered := make(map[string]bool)
	for _, l := range layouts {
		t.Run(l.label, func(t *testing.T) {
			root := t.TempDir()
			l.build(t, root)
			d, err := Open(root, l.name)
			if err != nil {
				t.Fatal(err)
			}
			spec, _ := Lookup(l.name)
			covered[spec.Name] = true
			if d.Name != spec.Name || d.Title != spec.Title {
				t.Errorf("opened %s (%s), want %s (%s)", d.Name, d.Title, spec.Name, spec.Title)
			}
			if diff := cmp.Diff(l.classes, d.Classes); diff != "" {
				t.Errorf("classes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(l.counts, d.Counts()); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			for i, part := range d.splits() {
				if len(part.items) > 0 && part.items[0].Path != l.first[i] {
					t.Errorf("%s starts with %s, want %s", part.name, part.items[0].Path, l.first[i])
				}
				for _, it := range part.items {
					if it.Class != d.Classes[it.Label] {
						t.Errorf("%s: class %q, but label %d is %q", it.Path, it.Class, it.Label, d.Classes[it.Label])
					}
				}
			}
			if d.Template != l.tmpl {
				t.Errorf("template %q, want %q", d.Template, l.tmpl)
			}
			if len(d.Templates) == 0 {
				t.Error("no prompt ensemble")
			}
			if d.Generated != l.made {
				t.Errorf("Generated is %v", d.Generated)
			}
			if l.made {
				wantWarning(t, d, spec.split+" is missing", "not the published one")
			}
			wantWarning(t, d, spec.Title+" has", "classes; the published data set has")
			if strings.HasSuffix(l.label, "/lists") {
				return // these builds leave most images out
			}
			for _, part := range d.splits() {
				for _, it := range part.items {
					data, err := d.ReadItem(it)
					if err != nil {
						t.Fatal(err)
					}
					if !strings.HasPrefix(string(data), jpegHead) || !strings.HasSuffix(string(data), filepath.Base(it.Path)) {
						t.Errorf("%s: read %q", it.Path, data)
					}
				}
			}
		})
	}
	for _, name := range Names() {
		if !covered[name] {
			t.Errorf("no layout test opens %s", name)
		}
	}
}

func TestLookup(t *testing.T) {
	for alias, want := range map[string]string{
		"caltech-101": "caltech101", "Caltech101": "caltech101", "OxfordPets": "oxford_pets",
		"fgvc": "fgvc_aircraft", "FGVCAircraft": "fgvc_aircraft", "flowers102": "oxford_flowers",
		"oxford_flowers": "oxford_flowers", "food-101": "food101", "DescribableTextures": "dtd",
		"imagenet-a": "imagenet_a", "imagenet-sketch": "imagenet_sketch", "imagenetv2": "imagenetv2",
	} {
		if spec, ok := Lookup(alias); !ok || spec.Name != want {
			t.Errorf("Lookup(%q) is %q, %v; want %q", alias, spec.Name, ok, want)
		}
	}
	if _, ok := Lookup("cifar10"); ok {
		t.Error(`Lookup("cifar10") found something`)
	}
	// No spelling may mean two rows.
	seen := make(map[string]string)
	for i := range table {
		s := &table[i]
		own := make(map[string]bool)
		for _, n := range append([]string{s.Name, s.Title}, s.aliases...) {
			own[fold(n)] = true
		}
		for n := range own {
			if other := seen[n]; other != "" {
				t.Errorf("%q means %s and %s", n, other, s.Name)
			}
			seen[n] = s.Name
		}
		for _, tmpl := range append([]string{s.Template}, s.Templates...) {
			if problem := checkTemplate(tmpl); problem != "" {
				t.Errorf("%s: template %q %s", s.Name, tmpl, problem)
			}
		}
		if s.split == "" && s.read == nil {
			t.Errorf("%s can not be read", s.Name)
		}
		if s.split != "" && s.split != "split_zhou_"+s.Title+".json" {
			t.Errorf("%s: split file %s", s.Name, s.split)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	t.Run("no folder", func(t *testing.T) {
		_, err := Open(t.TempDir(), "dtd")
		asError(t, err, "dtd: no such folder", "DATASETS.md")
	})
	t.Run("root is the data set", func(t *testing.T) {
		root := t.TempDir()
		writeImages(t, root, "images/banded/1.jpg")
		_, err := Open(root, "dtd")
		asError(t, err, "the data root is the folder above")
	})
	t.Run("no image folder", func(t *testing.T) {
		root := t.TempDir()
		writeFile(t, root, "dtd/split_zhou_DescribableTextures.json", "{}")
		_, err := Open(root, "dtd")
		asError(t, err, filepath.Join("dtd", "images")+": no such folder", "dtd-r1.0.1.tar.gz")
	})
	for _, name := range []string{"stanford_cars", "oxford_flowers"} {
		t.Run(name+" without split file", func(t *testing.T) {
			root := t.TempDir()
			spec, _ := Lookup(name)
			writeImages(t, root, filepath.Join(spec.dirs[0], filepath.FromSlash(spec.Needs[0].Path), "1.jpg"))
			_, err := Open(root, name)
			asError(t, err, spec.split+": no such file", "fetch "+spec.split, "DATASETS.md")
		})
	}
	t.Run("neither split nor lists", func(t *testing.T) {
		root := t.TempDir()
		writeImages(t, root, "oxford_pets/images/Abyssinian_1.jpg")
		_, err := Open(root, "oxford_pets")
		asError(t, err, "trainval.txt: no such file", "fetch split_zhou_OxfordPets.json")
	})
	t.Run("too few images to divide", func(t *testing.T) {
		root := t.TempDir()
		classImages(t, filepath.Join(root, "dtd/images"), 3, "banded", "dotted")
		e := asError(t, func() error { _, err := Open(root, "dtd"); return err }(), `"banded": has 3 images`, `"dotted"`)
		if e.Total != 2 {
			t.Errorf("%d problems, want 2", e.Total)
		}
	})
	t.Run("no classnames.txt", func(t *testing.T) {
		root := t.TempDir()
		classImages(t, filepath.Join(root, "imagenet/images/val"), 1, wordnetID(0))
		_, err := Open(root, "imagenet")
		asError(t, err, "classnames.txt: no such file")
	})
	t.Run("ImageNet val not sorted", func(t *testing.T) {
		root := t.TempDir()
		writeFile(t, root, "imagenet/classnames.txt", classnames(2))
		writeImages(t, root, "imagenet/images/val/ILSVRC2012_val_00000001.JPEG", "imagenet/images/val/ILSVRC2012_val_00000002.JPEG")
		_, err := Open(root, "imagenet")
		asError(t, err, "has 2 images but no class folders", "sort the validation images")
	})
	t.Run("ImageNet folders differ", func(t *testing.T) {
		root := t.TempDir()
		writeFile(t, root, "imagenet/classnames.txt", classnames(3))
		classImages(t, filepath.Join(root, "imagenet/images/val"), 1, wordnetID(0), wordnetID(1))
		classImages(t, filepath.Join(root, "imagenet/images/train"), 1, wordnetID(0), wordnetID(2))
		_, err := Open(root, "imagenet")
		asError(t, err, "train/"+wordnetID(2), "val/"+wordnetID(1))
	})
	t.Run("ImageNetV2 folder missing", func(t *testing.T) {
		root := t.TempDir()
		writeFile(t, root, "imagenetv2/classnames.txt", classnames(3))
		classImages(t, filepath.Join(root, "imagenetv2/imagenetv2-matched-frequency-format-val"), 1, "0", "2", "02", "x")
		_, err := Open(root, "imagenetv2")
		asError(t, err, "folder 1 (name 1) is missing", `"02"`, `"x"`)
	})
	t.Run("unknown name", func(t *testing.T) {
		_, err := Open(t.TempDir(), "cifar10")
		if err == nil || !strings.Contains(err.Error(), "eurosat") || !strings.Contains(err.Error(), "./cifar10") {
			t.Errorf("error %v", err)
		}
	})
}

func TestImageNetWithoutTrain(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root, "classnames.txt", classnames(2))
	classImages(t, filepath.Join(root, "imagenet/val"), 2, wordnetID(0), wordnetID(1))
	d, err := Open(root, "imagenet")
	if err != nil {
		t.Fatal(err)
	}
	wantWarning(t, d, "no train/ folder")
	if _, err := d.FewShot(1, 1); err == nil {
		t.Error("drew shots from nothing")
	}
}

// TestLinkedFolders opens ImageNet with train and val linked to another disk, as CoOp's instructions
// suggest, while a link inside an archive must not lead out.
func TestLinkedFolders(t *testing.T) {
	root, disk := t.TempDir(), t.TempDir()
	writeFile(t, root, "imagenet/classnames.txt", classnames(1))
	classImages(t, filepath.Join(disk, "a"), 2, wordnetID(0))
	classImages(t, filepath.Join(disk, "b"), 1, wordnetID(0))
	images := filepath.Join(root, "imagenet", "images")
	if err := os.MkdirAll(images, 0o777); err != nil {
		t.Fatal(err)
	}
	link(t, filepath.Join(disk, "a"), filepath.Join(images, "train"))
	link(t, filepath.Join(disk, "b"), filepath.Join(images, "val"))
	link(t, filepath.Join(disk, "a", wordnetID(0), "00.jpg"), filepath.Join(disk, "b", wordnetID(0), "out.jpg"))
	d, err := Open(root, "imagenet")
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Counts(); got != (Counts{1, 2, 0, 2}) {
		t.Fatalf("counts %v", got)
	}
	if _, err := d.ReadItem(d.Train[0]); err != nil {
		t.Error(err)
	}
	if _, err := d.ReadItem(d.Test[0]); err != nil {
		t.Error(err)
	}
	_, err = d.ReadItem(d.Test[1])
	asError(t, err, "out.jpg", "symbolic link that leads out")
}

// link makes a symbolic link, or skips the test where that is not allowed.
func link(t *testing.T, old, new string) {
	t.Helper()
	if err := os.Symlink(old, new); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
}
