package run

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"os"

	"fewshot/tensor"
)

// shelf keeps features of images in a file, so that those nobody computes with take no memory of the process. The file is the process's own,
// in the system's folder for temporary files, and where that can be it has no name: a process that is killed leaves nothing.
type shelf struct {
	file    *os.File // nil until there is something to keep
	at      map[featureKey]*rows
	numbers map[[sha256.Size]byte]int // of images, by their sums
	end     int64                     // of what is in the file
	most    int64                     // bytes that it may hold
}

// rows say where features lie in the file that have a key in common.
type rows struct {
	width int
	at    []int64 // by the image's number, 1 more than where they begin; 0 where they are not there
}

// shelfChunk is how many numbers go to the file or come from it at a time.
const shelfChunk = 1 << 14

// number is that of an image, the same for the same sum.
func (s *shelf) number(sum [sha256.Size]byte) int {
	n, known := s.numbers[sum]
	if !known {
		if n = len(s.numbers); n == 0 {
			s.numbers = map[[sha256.Size]byte]int{}
		}
		s.numbers[sum] = n
	}
	return n
}

// put keeps the features of images with these numbers, if there is room for all. What is there is not given up for others: passes over
// images come in the same order from run to run, so that of too many those that were used last are those that are needed last. After an
// error, as of a full disk, the shelf is empty, and stays so.
func (s *shelf) put(k featureKey, images []int, x *tensor.Tensor) error {
	n := 4 * int64(x.Len())
	if x.Buf().Size != 4 || s.end+n > s.most { // features in float64, as of ref, would lose bits
		return nil
	}
	err := s.open()
	if err == nil {
		err = eachRows(x, func(rows *tensor.Tensor, offset int64) error {
			return binary.Write(io.NewOffsetWriter(s.file, s.end+offset), binary.LittleEndian, rows.Floats())
		})
	}
	if err != nil {
		s.clear()
		s.most = 0
		return err
	}
	r := s.at[k]
	if r == nil {
		r = &rows{width: x.Dim(1)}
		s.at[k] = r
	}
	for i, image := range images {
		if image >= len(r.at) {
			r.at = append(r.at, make([]int64, image+1-len(r.at))...)
		}
		r.at[image] = 1 + s.end + 4*int64(i*r.width)
	}
	s.end += n
	return nil
}

// place is where in the file the features of an image begin, which are there.
func (r *rows) place(image int) (offset int64, there bool) {
	if r == nil || image >= len(r.at) || r.at[image] == 0 {
		return 0, false
	}
	return r.at[image] - 1, true
}

// lacking says which of the images have no features here: at which places of the list they are.
func (s *shelf) lacking(k featureKey, images []int) (at []int) {
	r := s.at[k]
	for i, image := range images {
		if _, there := r.place(image); !there {
			at = append(at, i)
		}
	}
	return at
}

// read puts the features of images that are there into their rows of x.
func (s *shelf) read(x *tensor.Tensor, k featureKey, images []int) error {
	r := s.at[k]
	if r == nil {
		return nil
	}
	v := make([]float32, max(shelfChunk/r.width, 1)*r.width)
	for lo, hi := 0, 0; lo < len(images); lo = hi {
		first, there := r.place(images[lo])
		for hi = lo + 1; there && hi < len(images) && (hi-lo)*r.width < len(v); hi++ { // what follows in the file, too
			if next, there := r.place(images[hi]); !there || next != first+4*int64((hi-lo)*r.width) {
				break
			}
		}
		if !there {
			continue
		}
		some := v[:(hi-lo)*r.width]
		if err := binary.Read(io.NewSectionReader(s.file, first, 4*int64(len(some))), binary.LittleEndian, some); err != nil {
			return err
		}
		x.Rows(lo, hi).Set(some)
	}
	return nil
}

// eachRows goes through a tensor some rows at a time, which begin at offset bytes of it.
func eachRows(x *tensor.Tensor, do func(rows *tensor.Tensor, offset int64) error) error {
	n, row := x.Shape()[0], x.Len()/x.Shape()[0]
	step := max(shelfChunk/row, 1)
	for lo := 0; lo < n; lo += step {
		if err := do(x.Rows(lo, min(lo+step, n)), 4*int64(lo*row)); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) open() (err error) {
	if s.file != nil {
		return nil
	}
	if s.file, err = os.CreateTemp("", "fewshot-features-*"); err != nil {
		return err
	}
	s.at = map[featureKey]*rows{}
	os.Remove(s.file.Name()) // where open files keep their names it is removed when it is closed
	return nil
}

// clear gives up what is there, and the room that it takes.
func (s *shelf) clear() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
	s.file, s.at, s.numbers, s.end = nil, nil, nil, 0
}
