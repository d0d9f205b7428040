package run

import (
	"encoding/binary"
	"io"
	"os"
	"slices"

	"fewshot/tensor"
)

// shelf keeps features of images in a file, so that those nobody computes with take no memory of the process. The file is the process's own,
// in the system's folder for temporary files, and where that can be it has no name: a process that is killed leaves nothing.
type shelf struct {
	file *os.File // nil until there is something to keep
	at   map[featureKey]extent
	end  int64 // of what is in the file
	most int64 // bytes that it may hold
}

// extent is where features lie in the file.
type extent struct {
	offset int64
	shape  []int
}

// shelfChunk is how many numbers go to the file or come from it at a time.
const shelfChunk = 1 << 14

// put keeps features, if there is room. What is there is not given up for others: passes over images come in the same order from run to
// run, so that of too many those that were used last are those that are needed last. After an error, as of a full disk, the shelf is
// empty, and stays so.
func (s *shelf) put(k featureKey, x *tensor.Tensor) error {
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
	s.at[k] = extent{s.end, slices.Clone(x.Shape())}
	s.end += n
	return nil
}

// get reads features that are there into a tensor of the caller's; nil where they are not.
func (s *shelf) get(dev *tensor.Device, k featureKey) (*tensor.Tensor, error) {
	e, ok := s.at[k]
	if !ok {
		return nil, nil
	}
	x := dev.New(tensor.Full, e.shape...)
	if err := eachRows(x, func(rows *tensor.Tensor, offset int64) error {
		v := make([]float32, rows.Len())
		err := binary.Read(io.NewSectionReader(s.file, e.offset+offset, 4*int64(len(v))), binary.LittleEndian, v)
		rows.Set(v)
		return err
	}); err != nil {
		x.Release()
		return nil, err
	}
	return x, nil
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
	s.at = map[featureKey]extent{}
	os.Remove(s.file.Name()) // where open files keep their names it is removed when it is closed
	return nil
}

// clear gives up what is there, and the room that it takes.
func (s *shelf) clear() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
	s.file, s.at, s.end = nil, nil, 0
}
