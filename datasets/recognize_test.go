package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spread writes n images into every folder; "a,b/c" stands for a/c and b/c.
func spread(t *testing.T, dir string, n int, folders ...string) {
	t.Helper()
	for _, f := range folders {
		all := []string{""}
		for part := range strings.SplitSeq(f, "/") {
			var longer []string
			for _, before := range all {
				for name := range strings.SplitSeq(part, ",") {
					longer = append(longer, strings.TrimPrefix(before+"/"+name, "/"))
				}
			}
			all = longer
		}
		classImages(t, dir, n, all...)
	}
}

// TestFolderLayouts reads what people have, and never takes a part for a class.
func TestFolderLayouts(t *testing.T) {
	catDog := []string{"cat", "dog"}
	for _, c := range []struct {
		name    string
		folders []string
		files   []string
		level   int
		split   string
		classes []string
		counts  Counts // without Classes
		notes   []string
		warns   []string
	}{
		{name: "plain", folders: []string{"train,test/cat,dog"}, classes: catDog, counts: Counts{0, 8, 0, 8}},
		{name: "with val", folders: []string{"train,val,test/cat,dog"}, classes: catDog, counts: Counts{0, 8, 8, 8}},
		{name: "capital", folders: []string{"Train,Test/cat,dog"}, classes: catDog, counts: Counts{0, 8, 0, 8}, notes: []string{"Train/ as train", "Test/ as test"}},
		{name: "upper case", folders: []string{"TRAIN,VAL,TEST/cat,dog"}, classes: catDog, counts: Counts{0, 8, 8, 8}, notes: []string{"VAL/ as val"}},
		{name: "longer words", folders: []string{"training,validation,testing/cat,dog"}, classes: catDog, counts: Counts{0, 8, 8, 8}, notes: []string{"training/ as train, validation/ as val, testing/ as test"}},
		{name: "valid", folders: []string{"train,valid,test/cat,dog"}, classes: catDog, counts: Counts{0, 8, 8, 8}, notes: []string{"valid/ as val"}},
		{name: "dev", folders: []string{"train,dev,test/cat,dog"}, classes: catDog, counts: Counts{0, 8, 8, 8}, notes: []string{"dev/ as val"}},
		{name: "valid for testing", folders: []string{"train,valid/cat,dog"}, classes: catDog, counts: Counts{0, 8, 0, 8}, notes: []string{"valid/ as val"}, warns: []string{"valid/ is the test set"}},
		{name: "sets", folders: []string{"train_set,Test Set/cat,dog"}, classes: catDog, counts: Counts{0, 8, 0, 8}, notes: []string{"train_set/ as train"}},
		{name: "doubled and affixed", folders: []string{"seg_train/seg_train/cat,dog", "seg_test/seg_test/cat,dog", "seg_pred/seg_pred"}, classes: catDog, counts: Counts{0, 8, 0, 8},
			notes: []string{"seg_train/ as train, seg_test/ as test", "classes are read from seg_train/seg_train/"}, warns: []string{"not used: seg_pred/"}},
		{name: "affixed", folders: []string{"fruits-train,fruits-test/cat,dog"}, classes: catDog, counts: Counts{0, 8, 0, 8}, notes: []string{"fruits-train/ as train"}},
		{name: "years", folders: []string{"train2017,val2017/cat,dog"}, classes: []string{"cat", "dog"}, counts: Counts{0, 8, 0, 8}, notes: []string{"train2017/ as train"}},
		{name: "only test", folders: []string{"test/cat,dog"}, classes: catDog, counts: Counts{0, 0, 0, 8}},
		{name: "only val", folders: []string{"val/cat,dog"}, classes: catDog, counts: Counts{0, 0, 0, 8}, warns: []string{"val/ is the test set"}},
		{name: "only Testing, wrapped", folders: []string{"d/Testing/cat,dog"}, classes: catDog, counts: Counts{0, 0, 0, 8}, notes: []string{"d/Testing/ as test"}},
		{name: "wrapped classes", folders: []string{"mydata/cat,dog"}, classes: catDog, counts: Counts{0, 4, 2, 2}, notes: []string{"mydata is read as the data set"}},
		{name: "wrapped parts", folders: []string{"images/train,test/cat,dog"}, classes: catDog, counts: Counts{0, 8, 0, 8}, notes: []string{"images/train/ as train"}},
		{name: "wrapped twice", folders: []string{"2750/2750/cat,dog"}, classes: catDog, counts: Counts{0, 4, 2, 2}, notes: []string{"2750/2750 is read as the data set"}},
		{name: "wrapper beside papers", folders: []string{"images/train,test/cat,dog"}, files: []string{"annotations/x.xml", "README.md"}, classes: catDog, counts: Counts{0, 8, 0, 8}},
		{name: "one super class", folders: []string{"train,test/animals/cat,dog"}, classes: catDog, counts: Counts{0, 8, 0, 8}, notes: []string{"classes are read from train/animals/"}},
		{name: "super classes, told", folders: []string{"train,test/big,small/cat,dog"}, level: 1, classes: []string{"big", "small"}, counts: Counts{0, 16, 0, 16}},
		{name: "classes of super classes, told", folders: []string{"train,test/pet/cat,dog", "train,test/farm/cow"}, level: 2, classes: []string{"cow", "cat", "dog"}, counts: Counts{0, 12, 0, 12}},
		{name: "super classes without parts, told", folders: []string{"pet/cat,dog", "farm/cow,pig"}, level: 2, classes: []string{"cow", "pig", "cat", "dog"}, counts: Counts{0, 8, 4, 4}},
		{name: "a folder in each class", folders: []string{"train,test/cat,dog/images"}, classes: catDog, counts: Counts{0, 8, 0, 8}},
		{name: "images and folders in a class", folders: []string{"train,test/cat,dog", "train/cat/more,yet_more", "train/dog/more"}, classes: catDog, counts: Counts{0, 20, 0, 8}},
		{name: "parts in classes", folders: []string{"cat,dog/train,test"}, classes: catDog, counts: Counts{0, 8, 0, 8}, notes: []string{"in each class"}},
		{name: "parts in classes, capital", folders: []string{"cat,dog/Train,Valid"}, classes: catDog, counts: Counts{0, 8, 0, 8}, warns: []string{"val/ is the test set"}},
		{name: "a class called train", folders: []string{"train,bus,car"}, classes: []string{"bus", "car", "train"}, counts: Counts{0, 6, 3, 3}, notes: []string{"train is read as a class"}},
		{name: "classes called by parts' words", folders: []string{"test tube,train station,steam train"}, classes: []string{"steam train", "test tube", "train station"}, counts: Counts{0, 6, 3, 3}},
		{name: "beside the parts", folders: []string{"train,test/cat,dog", "pool/cat,dog"}, classes: catDog, counts: Counts{0, 8, 0, 8}, warns: []string{"not used: pool/"}},
		{name: "outputs beside classes", folders: []string{"cat,dog"}, files: []string{"runs/result.json", "labels.txt"}, classes: catDog, counts: Counts{0, 4, 2, 2}, warns: []string{"without images, not used: runs/"}},
		{name: "junk", folders: []string{"train,test/cat,dog"}, files: []string{"train/@eaDir/x/SYNO.jpg", "train/@tmp/x.jpg", "test/Thumbs/x.jpg", "train/cat/@eaDir/b.jpg/S.jpg", "train/__MACOSX/cat/._a.jpg", "test/cat/Thumbs.db",
			"train/.ipynb_checkpoints/a-checkpoint.jpg", "train/cat/.DS_Store", "$RECYCLE.BIN/a/1.jpg", "lost+found/2.jpg", "train/dog/desktop.ini", "train/Icon\r/1.jpg"}, classes: catDog, counts: Counts{0, 8, 0, 8}},
		{name: "classes called as macOS's files are, nearly", folders: []string{"train,test/Icon,logo"}, classes: []string{"Icon", "logo"}, counts: Counts{0, 8, 0, 8}},
		{name: "accents in one character and in two", folders: []string{"train,test/caf\u00e9,dog", "val/cafe\u0301"}, classes: []string{"caf\u00e9", "dog"}, counts: Counts{0, 8, 4, 8}},
		{name: "endings", files: []string{"train/a/1.JFIF", "train/a/2.jpe", "train/b/3.bmp", "test/a/4.JPG", "test/b/5.WebP"}, classes: []string{"a", "b"}, counts: Counts{0, 3, 0, 2}},
		{name: "folds", folders: []string{"fold1,fold2,fold3/cat,dog"}, split: "2/3", classes: catDog, counts: Counts{0, 16, 0, 8}, notes: []string{"as folds"}},
		{name: "ten folds in their order", folders: []string{"fold_1,fold_2,fold_3,fold_4,fold_5,fold_6,fold_7,fold_8,fold_9,fold_10/cat"}, split: "10/10", classes: []string{"cat"}, counts: Counts{0, 36, 0, 4}},
		{name: "share", folders: []string{"cat,dog"}, split: "0.75", classes: catDog, counts: Counts{0, 6, 0, 2}},
		{name: "shares", folders: []string{"cat,dog"}, split: "0.5,0.25", classes: catDog, counts: Counts{0, 4, 2, 2}},
		{name: "fold", folders: []string{"cat,dog"}, split: "4/4", classes: catDog, counts: Counts{0, 6, 0, 2}},
		{name: "train divided", folders: []string{"train/cat,dog"}, split: "0.75", classes: catDog, counts: Counts{0, 6, 0, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			spread(t, dir, 4, c.folders...)
			writeImages(t, dir, c.files...)
			o := Options{ClassLevel: c.level}
			if c.split != "" {
				var err error
				if o.Division, err = ParseDivision(c.split, 1); err != nil {
					t.Fatal(err)
				}
			}
			d, err := OpenWith("nowhere", dir, o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.classes, d.Classes); diff != "" {
				t.Errorf("classes (-want +got):\n%s", diff)
			}
			c.counts.Classes = len(c.classes)
			if diff := cmp.Diff(c.counts, d.Counts()); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			for _, want := range c.notes {
				if !strings.Contains(strings.Join(d.Notes, "\n"), want) {
					t.Errorf("no note says %q:\n%s", want, strings.Join(d.Notes, "\n"))
				}
			}
			if c.notes == nil && c.name == "plain" && len(d.Notes) > 0 {
				t.Errorf("notes on what is plain: %q", d.Notes)
			}
			for _, want := range c.warns {
				wantWarning(t, d, want)
			}
			seen := make(map[string]bool)
			for _, part := range d.splits() {
				for _, it := range part.items {
					if seen[it.Path] {
						t.Errorf("%s is there twice", it.Path)
					}
					seen[it.Path] = true
					if _, err := d.ReadItem(it); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// TestFolderRefusals refuses what could be read in two ways, or in none, and says what would do.
func TestFolderRefusals(t *testing.T) {
	for _, c := range []struct {
		name    string
		folders []string
		files   []string
		level   int
		split   string
		want    []string
	}{
		{"super classes", []string{"train,test/big,small/cat,dog"}, nil, 0, "", []string{"train: has folders within folders", "big/, small/", "-class-level 1 or -class-level 2", filepath.Join("train", "big")}},
		{"super classes without parts", []string{"big,small/cat,dog"}, nil, 0, "", []string{"-class-level 1"}},
		{"folds", []string{"fold1,fold2,fold3/cat,dog"}, nil, 0, "", []string{"has 3 folds: fold1/, fold2/, fold3/", "-split 1/3", "fold1"}},
		{"other number of folds", []string{"fold1,fold2,fold3/cat,dog"}, nil, 0, "1/5", []string{"has 3 folds", "-split 1/3"}},
		{"folds with a gap", []string{"fold1,fold3/cat,dog"}, nil, 0, "1/2", []string{"not numbered from 1 to 2"}},
		{"folds with parts", []string{"fold1,fold2/train,test/cat,dog"}, nil, 0, "", []string{"holds data sets, not classes: fold1/, fold2/", "give one of them"}},
		{"two of a part", []string{"train,Train,test/cat,dog"}, nil, 0, "", []string{"more than one folder that could be its train part: Train/, train/"}},
		{"two of val", []string{"train,val,valid,test/cat,dog"}, nil, 0, "", []string{"val/, valid/"}},
		{"flat parts", []string{"train,test"}, nil, 0, "", []string{"train: has 4 images and no class folders", "table of paths and labels"}},
		{"flat affixed parts", []string{"cars_train,cars_test"}, nil, 0, "", []string{"cars_train: has 4 images and no class folders"}},
		{"flat test", []string{"train/cat,dog", "test"}, nil, 0, "", []string{"test: has 4 images and no class folders", "to use train/ alone give"}},
		{"images and labels", []string{"train,test/images"}, []string{"train/labels/1.txt"}, 0, "", []string{"has 4 images and no class folders"}},
		{"flat folds", []string{"fold1,fold2"}, nil, 0, "", []string{"fold1: has 4 images and no class folders"}},
		{"test pictures beside classes", []string{"cat,dog,test"}, nil, 0, "", []string{"test: has 4 images and no class folders"}},
		{"classes by parts", []string{"cat_train,cat_test,dog_train,dog_test"}, nil, 0, "", []string{"has 4 images and no class folders"}},
		{"images beside masks", []string{"images,masks"}, nil, 0, "", []string{"images/ can be no class: images/, masks/"}},
		{"images beside masks in parts", []string{"train,test/images,masks"}, nil, 0, "", []string{"train: has folders of images of which images/ can be no class"}},
		{"parts in a part's name", []string{"test/train,test/cat,dog"}, nil, 0, "", []string{"test: holds parts of a data set, not classes: test/, train/", "give it itself"}},
		{"parts in a part's name, divided", []string{"train/train,test/cat,dog"}, nil, 0, "0.8", []string{"holds parts of a data set"}},
		{"flat images", []string{"images"}, nil, 0, "", []string{"images: has 4 images but no class folders"}},
		{"the images of one class", nil, []string{"1.jpg", "2.jpg"}, 0, "", []string{"has 2 images but no class folders", "the data set is the folder above"}},
		{"data sets", []string{"pets,cars/train,test/a,b"}, nil, 0, "", []string{"holds data sets, not classes: cars/, pets/", "give one of them"}},
		{"data sets with split files", []string{"pets,cars/images"}, []string{"pets/split_zhou_X.json", "cars/split_zhou_Y.json"}, 0, "", []string{"holds data sets, not classes"}},
		{"some classes divided", []string{"cat/train,test", "dog"}, nil, 0, "", []string{"class folders that are divided, such as cat/", "others that are not, such as dog/"}},
		{"train alone", []string{"train/cat,dog"}, nil, 0, "", []string{"has train/ but neither test/ nor val/", "-split 0.8", "give "}},
		{"train and eval", []string{"train,eval/cat,dog"}, nil, 0, "", []string{"if eval/ is for testing, call it test"}},
		{"divided already", []string{"train,test/cat,dog"}, nil, 0, "0.8", []string{"has parts of its own", "leave -split out"}},
		{"other case", []string{"train/cat,dog", "test/Cat,dog"}, nil, 0, "", []string{"test/Cat: there is no such class in train/ (there is \"cat\")"}},
		{"two spellings of a class", []string{"caf\u00e9,cafe\u0301"}, nil, 0, "", []string{"the same name in two spellings"}},
		{"saved to disk", nil, []string{"train/data-00000-of-00001.arrow", "train/state.json", "dataset_dict.json"}, 0, "", []string{"as save_to_disk", "to_parquet"}},
		{"unread kinds", nil, []string{"train/cat/1.heic", "train/dog/2.heic", "test/cat/3.heic"}, 0, "", []string{"has no images", ".heic", "images are files ending in .jpg"}},
		{"a class of unread kinds", []string{"cat,dog"}, []string{"cow/1.heic"}, 0, "", []string{"cow: has no images: it has 1.heic"}},
		{"too few for folds", []string{"cat,dog"}, nil, 0, "1/5", []string{`"cat": has 4 images, too few for 5 folds`, "at least 5 images"}},
		{"nothing", nil, nil, 0, "", []string{"has no class folders"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			spread(t, dir, 4, c.folders...)
			writeImages(t, dir, c.files...)
			o := Options{ClassLevel: c.level}
			if c.split != "" {
				var err error
				if o.Division, err = ParseDivision(c.split, 1); err != nil {
					t.Fatal(err)
				}
			}
			_, err := OpenWith("nowhere", dir, o)
			asError(t, err, c.want...)
		})
	}
}

// TestFoldsCover divides by each fold in turn: every image is for testing once, and for training otherwise.
func TestFoldsCover(t *testing.T) {
	dir := t.TempDir()
	classImages(t, dir, 11, "a", "b")
	tested := make(map[string]int)
	for fold := 1; fold <= 4; fold++ {
		v, err := ParseDivision(fmt.Sprintf("%d/4", fold), 7)
		if err != nil {
			t.Fatal(err)
		}
		d, err := OpenWith("", dir, Options{Division: v})
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Train)+len(d.Test) != 22 || !d.Generated || !strings.Contains(d.Split, fmt.Sprintf("seed 7, fold %d of 4", fold)) {
			t.Errorf("%d training and %d test images, %s", len(d.Train), len(d.Test), d.Split)
		}
		for _, p := range paths(d.Test) {
			tested[p]++
			if slices.Contains(paths(d.Train), p) {
				t.Errorf("fold %d: %s is for training too", fold, p)
			}
		}
		perClass := make([]int, 2)
		for _, it := range d.Test {
			perClass[it.Label]++
		}
		if slices.Min(perClass) < 2 || slices.Max(perClass) > 3 {
			t.Errorf("fold %d has %v images a class", fold, perClass)
		}
	}
	for p, n := range tested {
		if n != 1 {
			t.Errorf("%s is tested %d times", p, n)
		}
	}
	if len(tested) != 22 {
		t.Errorf("%d images are tested", len(tested))
	}
}

func TestParseDivision(t *testing.T) {
	for _, s := range []string{"", "0", "1", "1.0", "-0.5", "NaN", "Inf", "0.8,0.3", "0.5,", "0.5,0", ",0.5", "0.5,0.2,0.3", "0/5", "6/5", "1/1", "1/", "/5", "1/2/3", "80%", "1/1000000"} {
		if v, err := ParseDivision(s, 1); err == nil || !strings.Contains(err.Error(), "0.8") {
			t.Errorf("%q: %+v, %v", s, v, err)
		}
	}
	one, _ := ParseDivision("0.8", 1)
	two, _ := ParseDivision("0.8", 2)
	if one.String() == two.String() || !strings.Contains(one.String(), "seed 1, 80/0/20 in each class") {
		t.Errorf("%v, %v", one, two)
	}
}

// In names data sets of the table by their names, whatever their folders are called, and other folders by these.
func TestIn(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"caltech-101/101_ObjectCategories", "zoo/cat", "dtd/images", "@eaDir/x"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "notes.txt"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := In(root)
	slices.Sort(got)
	if want := []string{"caltech101", "dtd", "zoo"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := In(filepath.Join(root, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
